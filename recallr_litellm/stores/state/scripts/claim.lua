-- Lease the sessions of a bucket that are due, the longest overdue first. An expired lease is due again by itself.
local due, retired = unpack(KEYS)
local given_now, limit, lease_ms, lease, sessions, into = unpack(ARGV)

local now = clock(given_now)
local claims = {}
if is_retired(retired, into) then return {now, claims} end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
  local session = sessions .. member
  local meta = redis.call('HMGET', session, 'owner', 'created', 'last', 'timeout', 'version')
  if meta[1] then
    local attempts = redis.call('HINCRBY', session, 'attempts', 1)
    redis.call('HSET', session, 'lease', lease)
    redis.call('ZADD', due, now + lease_ms, member)
    claims[#claims + 1] = {
      member, meta[1], tonumber(meta[2]), tonumber(meta[3]), tonumber(meta[4]), tonumber(meta[5]), attempts,
    }
  else
    redis.call('ZREM', due, member)
  end
end
return {now, claims}
