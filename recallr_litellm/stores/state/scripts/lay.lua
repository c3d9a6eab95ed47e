-- Keep a memory block with its session, the newest in front; those that gave way go, and the oldest past the bounds.
local session, blocks = unpack(KEYS)
local block, most, most_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

if redis.call('EXISTS', session) == 0 then return 0 end
for i = 4, #ARGV do redis.call('LREM', blocks, 1, ARGV[i]) end
if block ~= '' then redis.call('LPUSH', blocks, block) end
local kept = redis.call('LRANGE', blocks, 0, most - 1)
for i, each in ipairs(kept) do
  most_bytes = most_bytes - #each
  if most_bytes < 0 then
    most = i - 1
    break
  end
end
if most == 0 then redis.call('DEL', blocks) else redis.call('LTRIM', blocks, 0, most - 1) end
return 1
