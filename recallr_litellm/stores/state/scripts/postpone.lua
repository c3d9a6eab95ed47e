-- Give a leased session back, to be due later.
local session, due = unpack(KEYS)
local given_now, member, lease, delay_ms, reason, counts = unpack(ARGV)

if not leased(session, lease) then return 0 end
if counts == '0' then redis.call('HINCRBY', session, 'attempts', -1) end
redis.call('HSET', session, 'reason', reason)
redis.call('HDEL', session, 'lease')
redis.call('ZADD', due, clock(given_now) + delay_ms, member)
return 1
