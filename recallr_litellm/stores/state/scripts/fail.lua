-- Set a leased member aside, with what is queued under it.
local state, due, failed = unpack(KEYS)
local given_now, member, token, reason = unpack(ARGV)

if not leased(state, token) then return 0 end
redis.call('HSET', state, 'reason', reason)
redis.call('HDEL', state, 'lease')
redis.call('ZREM', due, member)
redis.call('ZADD', failed, clock(given_now), member)
return 1
