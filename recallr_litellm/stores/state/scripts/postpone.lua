-- Give a leased member back, to be due later.
local state, due = unpack(KEYS)
local given_now, member, token, delay_ms, reason, counts = unpack(ARGV)

if not leased(state, token) then return 0 end
if counts == '0' then redis.call('HINCRBY', state, 'attempts', -1) end
redis.call('HSET', state, 'reason', reason)
redis.call('HDEL', state, 'lease')
redis.call('ZADD', due, clock(given_now) + delay_ms, member)
return 1
