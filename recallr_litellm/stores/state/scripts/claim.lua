-- Lease members of a bucket that are due, the longest overdue first. An expired lease is due again by itself.
-- Returns the time, a row for each lease (member, attempts, the fields asked for), and the members that are damaged.
local due, failed = unpack(KEYS)
local given_now, limit, lease_ms, token, states, apart, busy = unpack(ARGV)
local FIRST_FIELD = 8
local LOOKED_AT = 200 -- members of owners who have to wait may stand in front of others'

local now = clock(given_now)
limit = tonumber(limit)
local taken, leases, damaged = {}, {}, {}
for owner in string.gmatch(busy, '%S+') do taken[owner] = true end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, apart == '1' and LOOKED_AT or limit)) do
  if #leases == limit then break end
  local owner = string.match(member, '^[^:]*')
  if apart == '1' and taken[owner] then
    redis.call('ZADD', due, now, member) -- to the end of what is due: one owner's many members must not hide others'
  else
    local fields = redis.pcall('HMGET', states .. member, unpack(ARGV, FIRST_FIELD))
    if fields.err then
      redis.call('ZREM', due, member)
      redis.call('ZADD', failed, now, member)
      damaged[#damaged + 1] = member
    elseif not fields[1] then
      redis.call('ZREM', due, member)
    else
      taken[owner] = true
      redis.call('HSET', states .. member, 'lease', token)
      redis.call('ZADD', due, now + lease_ms, member)
      leases[#leases + 1] = {member, redis.call('HINCRBY', states .. member, 'attempts', 1), unpack(fields)}
    end
  end
end
return {now, leases, damaged}
