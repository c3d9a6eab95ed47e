-- Find the session of a request, or make one; the user is then active in it.
local user, current, open, due, failed, chat, opening = unpack(KEYS)
local given_now, owner, who, new, timeout, default_timeout, requested, marker_ttl, most, sessions, prefix, names, otherwise,
  preferred, name, with_blocks, compared = unpack(ARGV, 1, 17)
local FIRST_COMPARED = 18 -- two prints of each of `compared` messages; then ids of sessions that do not hold them

local function member(id) return owner .. ':' .. id end

local named = redis.call('GET', user)
if named == '1' then named = owner end -- an earlier version noted it
if not named or string.match(named, '^%x+') ~= name then return {'unknown_user'} end
redis.call('EXPIRE', user, marker_ttl)
local now = clock(given_now)
most = tonumber(most)

-- The id, if the session has been quiet for less than its timeout; else false.
local function alive(id)
  if not id or id == '' then return false end
  local meta = redis.call('HMGET', sessions .. member(id), 'last', 'timeout')
  return meta[1] and now - meta[1] < meta[2] * 1000 and id
end

-- A session's entries, and how many messages it holds.
local function index(id)
  local at = contents(prefix, member(id))
  return redis.call('HVALS', at.index), redis.call('HLEN', at.messages)
end

local message_of, refused = {}, {}
for i = 0, 2 * compared - 1 do message_of[ARGV[FIRST_COMPARED + i]] = math.floor(i / 2) end
for i = FIRST_COMPARED + 2 * compared, #ARGV do refused[ARGV[i]] = true end

-- How many messages of the history are among the newest of a session. One that an earlier version wrote to has to be
-- looked at.
local function held(id)
  local at = contents(prefix, member(id))
  if redis.call('HLEN', at.index) ~= redis.call('HLEN', at.messages) then return 1 end
  local found, seen, first = 0, {}, 0
  for _, last in ipairs({15, 199}) do -- nearly always, a history ends where its session does
    local ids = redis.call('ZREVRANGE', at.order, first, last)
    if found > 1 or #ids == 0 then break end
    for _, row in ipairs(redis.call('HMGET', at.index, unpack(ids))) do
      for print in string.gmatch(row or '', '"(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x)"') do
        local message = message_of[print]
        if message and not seen[message] then
          seen[message] = true
          found = found + 1
        end
      end
    end
    first = last + 1
  end
  return found
end

-- The open session that holds most of the history, the current one first, and how many messages it holds.
local function holder(without_name)
  local best, most_held = false, 0
  local function consider(id)
    if refused[id] or not alive(id) then return end
    if without_name and redis.call('HEXISTS', sessions .. member(id), 'named') == 1 then return end
    local count = held(id)
    if count > most_held then best, most_held = id, count end
  end
  if compared == '0' then return false, 0 end
  local first = redis.call('GET', current)
  if first then consider(first) end
  if most_held < 2 then
    for _, id in ipairs(redis.call('ZREVRANGE', open, 0, most)) do
      if id ~= first then consider(id) end
    end
  end
  return best, most_held
end

local id, why = false, 'new'
local function settle(found, reason)
  if found then id, why = found, reason end
  return found
end

if requested ~= '' then
  if redis.call('EXISTS', sessions .. member(requested)) == 0 then return {'unknown_session'} end
  settle(requested, 'requested')
else
  local known = names ~= '' and redis.call('GET', chat)
  settle(known and alive(known), 'chat')
  if not id and not (known and names == 'part') then
    if not settle(alive(preferred), 'preferred') then
      local found, count = holder(names == 'chat')
      local sure = count > 1 or (compared == '1' and found == redis.call('GET', current))
      if found and not sure then return {'candidate', found, index(found)} end
      settle(found, 'history')
    end
    if not id and names ~= 'chat' then
      if otherwise == 'current' then settle(alive(redis.call('GET', current)), 'current') end
      if otherwise == 'opening' then settle(alive(redis.call('GET', opening)), 'opening') end
    end
  end
end

if not id then
  id = new
  redis.call('HSET', sessions .. member(id), 'owner', who, 'created', now, 'version', 0, 'timeout', default_timeout)
end
local session = sessions .. member(id)
if timeout ~= '' then redis.call('HSET', session, 'timeout', timeout) end
local last = touch(session, due, failed, member(id), now)
redis.call('ZADD', open, 'XX', last, id)
local meta = redis.call('HMGET', session, 'version', 'timeout')

-- A chat is found by its name as long as its session can go on, with time for long answers.
local lasts = meta[2] + marker_ttl
if names ~= '' then redis.call('SET', chat, id, 'EX', lasts) end
if names ~= 'chat' and otherwise == 'opening' and (why == 'opening' or why == 'new') then
  redis.call('SET', opening, id, 'EX', lasts)
end
if names == 'chat' then redis.call('HSET', session, 'named', 1) end
if names ~= 'chat' or why == 'requested' then
  redis.call('SET', current, id)
elseif redis.call('GET', current) == id and why ~= 'chat' then
  redis.call('DEL', current) -- it now belongs to a chat with a name
end

local others = {}
for _, other in ipairs(redis.call('ZREVRANGE', open, 0, most)) do
  if other ~= id and #others < most then others[#others + 1] = other end
end
local entries, count = index(id)
local blocks = with_blocks == '1' and count > 0 and redis.call('LRANGE', prefix .. 'blocks:' .. member(id), 0, -1) or {}
return {'resolved', id, tonumber(meta[1]), tonumber(meta[2]), entries, count, others, why, blocks}
