-- Replace the metadata of a session. 0 if it is not in Redis.
local session, due = unpack(KEYS)
local given_now, member, metadata = unpack(ARGV)

if redis.call('EXISTS', session) == 0 then return 0 end
redis.call('HSET', session, 'metadata', metadata)
-- Whoever is processing it has read the earlier ones: it is processed again.
if redis.call('HDEL', session, 'lease') == 1 then redis.call('ZADD', due, clock(given_now), member) end
return 1
