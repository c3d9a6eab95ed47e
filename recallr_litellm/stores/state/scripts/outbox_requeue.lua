-- Put some dead letters of a bucket, the oldest first and none newer than `last`, at the end of their sessions' queues.
-- Returns how many.
local dead, due, totals = unpack(KEYS)
local given_now, last, limit, queues, states = unpack(ARGV)

local now = clock(given_now)
local letters = redis.call('XRANGE', dead, '-', last, 'COUNT', limit)
for _, letter in ipairs(letters) do
  local message, member, payload = letter[2][2], letter[2][4], letter[2][10]
  redis.call('XADD', queues .. member, '*', 'message', message, 'payload', payload)
  redis.call('HINCRBY', states .. member, 'bytes', #payload)
  redis.call('ZADD', due, 'NX', now, member)
  redis.call('HINCRBY', totals, 'queued', 1)
  redis.call('HINCRBY', totals, 'bytes', #payload)
  redis.call('HINCRBY', totals, 'dead_bytes', -#payload)
  redis.call('XDEL', dead, letter[1])
end
return #letters
