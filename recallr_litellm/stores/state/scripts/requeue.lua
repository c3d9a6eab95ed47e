-- Make the failed members of a bucket due now, their attempts forgotten. Returns how many.
local due, failed = unpack(KEYS)
local given_now, states = unpack(ARGV)

local now = clock(given_now)
local requeued = 0
for _, member in ipairs(redis.call('ZRANGE', failed, 0, -1)) do
  local kind = redis.call('TYPE', states .. member).ok
  if kind == 'hash' then
    redis.call('HSET', states .. member, 'attempts', 0)
    redis.call('HDEL', states .. member, 'reason')
    redis.call('ZADD', due, now, member)
    requeued = requeued + 1
  end
  if kind == 'hash' or kind == 'none' then redis.call('ZREM', failed, member) end -- else it is damaged
end
return requeued
