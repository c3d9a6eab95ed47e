-- Put a payload at the end of its session's queue, once. `full` where the bucket has no room: what is there stays.
local queue, state, due, totals, marker = unpack(KEYS)
local given_now, member, message, payload, most, most_bytes, marker_seconds, project = unpack(ARGV)

if redis.call('EXISTS', marker) == 1 then return 'duplicate' end
local there = redis.call('HMGET', totals, 'queued', 'bytes')
if tonumber(there[1] or 0) >= tonumber(most) or tonumber(there[2] or 0) + #payload > tonumber(most_bytes) then
  redis.call('HINCRBY', totals, 'dropped', 1)
  redis.call('SET', marker, 1, 'EX', marker_seconds)
  return 'full'
end
-- In this order a damaged key ends the script before anything is written that it would leave without its count.
redis.call('HINCRBY', state, 'bytes', #payload)
redis.call('XADD', queue, '*', 'message', message, 'payload', payload, 'project', project)
redis.call('ZADD', due, 'NX', clock(given_now), member)
redis.call('HINCRBY', totals, 'queued', 1)
redis.call('HINCRBY', totals, 'bytes', #payload)
redis.call('HINCRBY', totals, 'added', 1)
redis.call('SET', marker, 1, 'EX', marker_seconds)
return 'added'
