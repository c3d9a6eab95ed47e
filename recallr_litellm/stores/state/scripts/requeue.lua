-- Make the failed sessions of a bucket due now, with all their attempts before them. Returns how many.
local due, failed = unpack(KEYS)
local given_now, sessions = unpack(ARGV)

local now = clock(given_now)
local requeued = 0
for _, member in ipairs(redis.call('ZRANGE', failed, 0, -1)) do
  if redis.call('EXISTS', sessions .. member) == 1 then
    redis.call('HSET', sessions .. member, 'attempts', 0)
    redis.call('HDEL', sessions .. member, 'reason')
    redis.call('ZADD', due, now, member)
    requeued = requeued + 1
  end
end
redis.call('DEL', failed)
return requeued
