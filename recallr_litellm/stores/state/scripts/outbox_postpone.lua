-- Give a leased session back, to be due after a delay. 0 where the lease had ended before.
local state, due, leased, totals = unpack(KEYS)
local given_now, member, lease, delay_ms, failed_at, counts = unpack(ARGV)

if redis.call('HGET', state, 'lease') ~= lease then return 0 end
redis.call('HDEL', state, 'lease')
redis.call('ZADD', due, clock(given_now) + delay_ms, member)
redis.call('ZREM', leased, member)
if failed_at ~= '' then
  redis.call('HSET', state, 'failed_at', failed_at)
  redis.call('HINCRBY', state, 'attempts', counts)
  redis.call('HINCRBY', totals, 'retried', 1)
end
return 1
