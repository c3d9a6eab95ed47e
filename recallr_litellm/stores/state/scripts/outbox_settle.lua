-- Take the first payload of a leased session out of its queue: it was delivered, or it goes to the dead letters.
-- With a `lease_ms`, the session stays leased for its next payload.
-- Answers `empty`, `released`, `lost` (the lease had ended before: nothing is changed), or `next` with that payload.
local queue, state, due, totals, dead = unpack(KEYS)
local given_now, member, token, entry, outcome, lease_ms, status, reason, most_dead, most_dead_bytes = unpack(ARGV)

if not leased(state, token) then return {'lost'} end
local now = clock(given_now)
local found = redis.call('XRANGE', queue, entry, entry)[1]
if found then
  local message, payload, project = found[2][2], found[2][4], found[2][6] or ''
  redis.call('XDEL', queue, entry)
  redis.call('HINCRBY', state, 'bytes', -#payload)
  redis.call('HINCRBY', totals, 'bytes', -#payload)
  redis.call('HINCRBY', totals, 'queued', -1)
  redis.call('HINCRBY', totals, outcome, 1)
  if outcome == 'dead' then
    redis.call('XADD', dead, '*', 'message', message, 'member', member, 'status', status, 'reason', reason,
      'payload', payload, 'project', project)
    local bytes = redis.call('HINCRBY', totals, 'dead_bytes', #payload)
    while redis.call('XLEN', dead) > tonumber(most_dead) or bytes > tonumber(most_dead_bytes) do
      local first = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
      redis.call('XDEL', dead, first[1])
      bytes = redis.call('HINCRBY', totals, 'dead_bytes', -#first[2][10])
      redis.call('HINCRBY', totals, 'dropped', 1)
    end
  end
end

local next = redis.call('XRANGE', queue, '-', '+', 'COUNT', 1)[1]
if not next then
  redis.call('DEL', queue, state)
  redis.call('ZREM', due, member)
  return {'empty'}
end
if lease_ms == '' then
  redis.call('HDEL', state, 'lease', 'attempts')
  redis.call('ZADD', due, now, member)
  return {'released'}
end
redis.call('HSET', state, 'attempts', 1)
redis.call('ZADD', due, now + lease_ms, member)
return {'next', next[1], next[2][2], next[2][4]}
