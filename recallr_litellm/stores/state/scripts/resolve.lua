-- Find the session of a request, or make one; the user is then active in it.
local user, current, open, due, failed = unpack(KEYS)
local given_now, owner, who, new, timeout, default_timeout, requested, marker_ttl, most, sessions, prefix = unpack(ARGV)

local function member(id) return owner .. ':' .. id end

if redis.call('EXPIRE', user, marker_ttl) == 0 then return {'unknown_user'} end
local now = clock(given_now)

local id = requested
if requested ~= '' then
  if redis.call('EXISTS', sessions .. member(id)) == 0 then return {'unknown_session'} end
else
  id = redis.call('GET', current)
  if id then
    local meta = redis.call('HMGET', sessions .. member(id), 'last', 'timeout')
    if not meta[1] or now - meta[1] >= meta[2] * 1000 then id = false end
  end
end

if not id then
  id = new
  redis.call('HSET', sessions .. member(id), 'owner', who, 'created', now, 'version', 0, 'timeout', default_timeout)
end
local session = sessions .. member(id)
if timeout ~= '' then redis.call('HSET', session, 'timeout', timeout) end
local last = touch(session, due, failed, member(id), now)
redis.call('SET', current, id)
redis.call('ZADD', open, 'XX', last, id)

local others = {}
for _, other in ipairs(redis.call('ZREVRANGE', open, 0, most)) do
  if other ~= id and #others < tonumber(most) then others[#others + 1] = other end
end
local meta = redis.call('HMGET', session, 'version', 'timeout')
local at = contents(prefix, member(id))
local entries, count = redis.call('HVALS', at.index), redis.call('HLEN', at.messages)
return {'resolved', id, tonumber(meta[1]), tonumber(meta[2]), entries, count, others}
