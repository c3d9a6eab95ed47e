-- Keep the memory block of a turn with its session, the newest few only.
local session, blocks = unpack(KEYS)
local turn, block, kept = unpack(ARGV)

if redis.call('EXISTS', session) == 0 then return 0 end
local at = redis.call('LPOS', blocks, turn)
if at then
  redis.call('LSET', blocks, at + 1, block)
else
  redis.call('LPUSH', blocks, block, turn)
  redis.call('LTRIM', blocks, 0, 2 * kept - 1)
end
return 1
