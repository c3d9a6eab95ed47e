-- Put before every script.

-- Milliseconds since the epoch: the server's clock, one for all workers, unless the caller gives a time.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The user is active in the session: its deadline moves, and whoever was processing it (lease) or had given it
-- up (failed) no longer decides about it. `last` never goes back, so an exchange replayed late does not end the
-- session early. Returns the time of the last activity, ms.
local function touch(session, due, failed, member, now)
  local meta = redis.call('HMGET', session, 'last', 'timeout')
  local last = math.max(now, tonumber(meta[1] or 0))
  redis.call('HSET', session, 'last', last, 'attempts', 0)
  redis.call('HDEL', session, 'lease', 'reason')
  redis.call('ZREM', failed, member)
  redis.call('ZADD', due, last + meta[2] * 1000, member)
  return last
end

-- False once the lease was ended by activity, by another worker's claim, or with the session.
local function leased(session, lease)
  return redis.call('HGET', session, 'lease') == lease
end

-- True while nothing may be made memory in this collection any more: a new one is about to take its place, or has.
local function is_retired(retired, collection)
  return redis.call('GET', retired) == collection
end
