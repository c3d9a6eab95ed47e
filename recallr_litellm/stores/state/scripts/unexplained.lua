-- Take requests out of the index of what is kept of a project's requests.
local order, places = unpack(KEYS)

for _, id in ipairs(ARGV) do
  local place = redis.call('HGET', places, id)
  if place then
    redis.call('HINCRBY', places, 'bytes', '-' .. string.match(place, ' (%d+)$'))
    redis.call('HDEL', places, id)
  end
  redis.call('ZREM', order, id)
end
