-- Set a leased session aside, with its messages, until somebody asks for it again.
local session, due, failed = unpack(KEYS)
local given_now, member, lease, reason = unpack(ARGV)

if not leased(session, lease) then return 0 end
redis.call('HSET', session, 'reason', reason)
redis.call('HDEL', session, 'lease')
redis.call('ZREM', due, member)
redis.call('ZADD', failed, clock(given_now), member)
return 1
