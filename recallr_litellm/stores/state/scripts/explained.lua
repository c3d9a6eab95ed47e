-- Enter requests into the index of what is kept of a project's requests. ARGV holds three values for each: id, whose
-- it is, bytes. Returns id and place of those that have to go: the oldest, where there are too many, or too large ones.
local order, places = unpack(KEYS)
local given_now, most, most_bytes, keep_ms = unpack(ARGV, 1, 4)

local now = clock(given_now)
local newest = redis.call('ZRANGE', order, -1, -1, 'WITHSCORES')
local at = math.max(now, tonumber(newest[2] or 0))
for i = 5, #ARGV, 3 do
  local id, owner, bytes = unpack(ARGV, i, i + 2)
  at = at + 1 / 4096 -- those of one millisecond keep their order too
  if redis.call('ZADD', order, at, id) == 1 then
    redis.call('HSET', places, id, owner .. ' ' .. bytes)
    redis.call('HINCRBY', places, 'bytes', bytes)
  end
end
local gone = {}
local count, bytes = redis.call('ZCARD', order), tonumber(redis.call('HGET', places, 'bytes') or 0)
while count > 0 do
  local id, since = unpack(redis.call('ZRANGE', order, 0, 0, 'WITHSCORES'))
  if count <= tonumber(most) and bytes <= tonumber(most_bytes) and tonumber(since) > now - keep_ms then break end
  local place = redis.call('HGET', places, id)
  if place then
    gone[#gone + 1] = id
    gone[#gone + 1] = place
    bytes = redis.call('HINCRBY', places, 'bytes', '-' .. string.match(place, ' (%d+)$'))
    redis.call('HDEL', places, id)
  end
  redis.call('ZREM', order, id)
  count = count - 1
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, keep_ms) end
return gone
