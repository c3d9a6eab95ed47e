-- Delete dead letters of a bucket. Returns how many.
local dead, totals = unpack(KEYS)

local dropped = 0
for _, entry in ipairs(ARGV) do
  local letter = redis.call('XRANGE', dead, entry, entry)[1]
  if letter then
    redis.call('HINCRBY', totals, 'dead_bytes', -#letter[2][10])
    redis.call('XDEL', dead, entry)
    dropped = dropped + 1
  end
end
return dropped
