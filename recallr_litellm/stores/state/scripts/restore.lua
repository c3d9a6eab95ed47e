-- Put a processed session back. -1 where it, or its user, is forgotten.
local session, due, failed, open, current, gone_user, gone_session = unpack(KEYS)
local given_now, prefix, member, id, who, created, timeout, metadata = unpack(ARGV, 1, 8) -- all of ARGV may be too much for it
local FIRST_MESSAGE = 9

if redis.call('EXISTS', gone_user, gone_session) > 0 then return -1 end
if redis.call('EXISTS', session) == 1 then return 0 end
local now = clock(given_now)
-- A version that the session cannot have had in its earlier life, in which each commit added one to a smaller number.
redis.call('HSET', session, 'owner', who, 'created', created, 'version', now, 'timeout', timeout)
if metadata ~= '' then redis.call('HSET', session, 'metadata', metadata) end
put(contents(prefix, member), FIRST_MESSAGE, (#ARGV - FIRST_MESSAGE + 1) / 5)
local last = touch(session, due, failed, member, now)
if #ARGV >= FIRST_MESSAGE then redis.call('ZADD', open, last, id) end
redis.call('SET', current, id, 'NX')
return 1
