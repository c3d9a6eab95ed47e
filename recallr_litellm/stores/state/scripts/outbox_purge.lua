-- Delete all payloads of a user in a bucket, queued and dead. Returns how many there were.
-- A worker that is just sending one of them finds its lease ended.
local due, totals, dead = unpack(KEYS)
local prefix, queues, states = unpack(ARGV)

local purged = 0
for _, member in ipairs(redis.call('ZRANGE', due, 0, -1)) do
  if string.sub(member, 1, #prefix) == prefix then
    local queued = redis.call('XLEN', queues .. member)
    redis.call('HINCRBY', totals, 'queued', 0 - queued)
    redis.call('HINCRBY', totals, 'bytes', 0 - (redis.call('HGET', states .. member, 'bytes') or 0))
    redis.call('DEL', queues .. member, states .. member)
    redis.call('ZREM', due, member)
    purged = purged + queued
  end
end
local after = '-'
repeat
  local letters = redis.call('XRANGE', dead, after, '+', 'COUNT', 50)
  for _, letter in ipairs(letters) do
    if string.sub(letter[2][4], 1, #prefix) == prefix then
      redis.call('XDEL', dead, letter[1])
      redis.call('HINCRBY', totals, 'dead_bytes', -#letter[2][10])
      purged = purged + 1
    end
    after = '(' .. letter[1]
  end
until #letters == 0
return purged
