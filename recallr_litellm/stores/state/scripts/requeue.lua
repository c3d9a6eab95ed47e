-- Make the failed members of a bucket due now, or these of them, their attempts forgotten. Returns how many.
local due, failed = unpack(KEYS)
local given_now, states = unpack(ARGV, 1, 2)

local now = clock(given_now)
local requeued = 0
local members = #ARGV > 2 and {unpack(ARGV, 3)} or redis.call('ZRANGE', failed, 0, -1)
for _, member in ipairs(members) do
  local there = redis.call('ZSCORE', failed, member)
  local kind = there and redis.call('TYPE', states .. member).ok
  if kind == 'hash' then
    redis.call('HSET', states .. member, 'attempts', 0)
    redis.call('HDEL', states .. member, 'reason')
    redis.call('ZADD', due, now, member)
    requeued = requeued + 1
  end
  if kind == 'hash' or kind == 'none' then redis.call('ZREM', failed, member) end -- else it is damaged
end
return requeued
