-- Put dead letters of a bucket at the end of their sessions' queues. Returns how many.
local dead, due, totals = unpack(KEYS)
local given_now, queues, states = unpack(ARGV, 1, 3)

local now, requeued = clock(given_now), 0
for i = 4, #ARGV do
  local letter = redis.call('XRANGE', dead, ARGV[i], ARGV[i])[1]
  if letter then
    local _, message, _, member, _, _, _, _, _, payload, _, project = unpack(letter[2])
    redis.call('XADD', queues .. member, '*', 'message', message, 'payload', payload, 'project', project or '')
    redis.call('HINCRBY', states .. member, 'bytes', #payload)
    redis.call('ZADD', due, 'NX', now, member)
    redis.call('HINCRBY', totals, 'queued', 1)
    redis.call('HINCRBY', totals, 'bytes', #payload)
    redis.call('HINCRBY', totals, 'dead_bytes', -#payload)
    redis.call('XDEL', dead, letter[1])
    requeued = requeued + 1
  end
end
return requeued
