-- Make a session that is asked for by the API, without messages yet. Does nothing if it is there already, or if its user
-- is forgotten.
local session, due, failed, empty, gone_user, gone_session = unpack(KEYS)
local given_now, member, id, who, created, timeout, metadata = unpack(ARGV)

if redis.call('EXISTS', session, gone_user, gone_session) > 0 then return 0 end
local now = clock(given_now)
-- As to the version: see restore.lua.
redis.call('HSET', session, 'owner', who, 'created', now, 'version', now, 'timeout', timeout, 'metadata', metadata)
if created ~= '' then redis.call('HSET', session, 'created', created, 'dated', 1) end
touch(session, due, failed, member, now)
redis.call('ZADD', empty, now, id)
return 1
