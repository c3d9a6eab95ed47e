-- Age (ms) of the payload of a bucket that waits longest; -1 where none does.
local due = unpack(KEYS)
local queues = unpack(ARGV)

local oldest
for _, member in ipairs(redis.call('ZRANGE', due, 0, -1)) do
  local first = redis.call('XRANGE', queues .. member, '-', '+', 'COUNT', 1)[1]
  local added = first and tonumber(string.match(first[1], '^%d+'))
  if added and (not oldest or added < oldest) then oldest = added end
end
return oldest and math.max(0, clock('') - oldest) or -1
