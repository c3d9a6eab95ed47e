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
  redis.call('HDEL', session, 'lease', 'reason', 'ending')
  redis.call('ZREM', failed, member)
  redis.call('ZADD', due, last + meta[2] * 1000, member)
  return last
end

-- False once the lease of a queue's member was ended by its user, by another worker's claim, or with the member.
local function leased(state, token)
  return redis.call('HGET', state, 'lease') == token
end

-- Keys of what a session holds (see keys.py).
local function contents(prefix, member)
  return {
    messages = prefix .. 'messages:' .. member,
    large = prefix .. 'large:' .. member,
    index = prefix .. 'index:' .. member,
    order = prefix .. 'order:' .. member,
  }
end

-- Write `count` messages into a session. ARGV holds five values for each, beginning at `first`: id, position, entry,
-- the message as a request reads it, and the whole message, '' where that is the same.
local function put(at, first, count)
  for i = first, first + 5 * count - 1, 5 do
    local id, position, entry, shown, whole = unpack(ARGV, i, i + 4)
    redis.call('ZADD', at.order, position, id)
    redis.call('HSET', at.index, id, entry)
    redis.call('HSET', at.messages, id, shown)
    if whole == '' then redis.call('HDEL', at.large, id) else redis.call('HSET', at.large, id, whole) end
  end
end

local function remove(at, id)
  redis.call('ZREM', at.order, id)
  for _, hash in ipairs({at.index, at.messages, at.large}) do redis.call('HDEL', hash, id) end
end

-- Move a message from one session to another.
local function move(from, to, id)
  local position = redis.call('ZSCORE', from.order, id)
  if not position then return end
  redis.call('ZADD', to.order, position, id)
  for _, name in ipairs({'index', 'messages', 'large'}) do
    local value = redis.call('HGET', from[name], id)
    if value then redis.call('HSET', to[name], id, value) end
  end
  remove(from, id)
end

-- Make the session that messages of another one go to. What was said of that one holds for it too.
local function part_of(session, part, version, now)
  redis.call('HSET', part, 'last', now, 'version', version, 'attempts', 0)
  for _, name in ipairs({'owner', 'created', 'timeout', 'metadata', 'dated'}) do
    local value = redis.call('HGET', session, name)
    if value then redis.call('HSET', part, name, value) end
  end
end

-- Texts of these messages up to the first that does not fit into `left` bytes, and what is left of them. One message
-- may be larger than what is left.
local function within(messages, ids, left)
  local texts = {}
  for _, id in ipairs(ids) do
    local size = redis.call('HSTRLEN', messages, id)
    if left <= 0 or (size > left and #texts > 0) then break end
    if size > 0 then
      texts[#texts + 1] = redis.call('HGET', messages, id)
      left = left - size
    end
  end
  return texts, left
end
