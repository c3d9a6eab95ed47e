-- Lease sessions of a bucket whose first payload may be sent, the longest waiting first. A session is leased to one
-- worker at a time, so its payloads go out one after another; an expired lease is due again by itself.
local due, oldest, leased = unpack(KEYS)
local given_now, limit, lease_ms, lease, queues, states = unpack(ARGV)

local now = clock(given_now)
local claims = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
  local first = redis.call('XRANGE', queues .. member, '-', '+', 'COUNT', 1)[1]
  if first then
    local state = states .. member
    local past = redis.call('HMGET', state, 'attempts', 'failed_at')
    redis.call('HSET', state, 'lease', lease)
    redis.call('ZADD', due, now + lease_ms, member)
    redis.call('ZADD', leased, now + lease_ms, member)
    claims[#claims + 1] = {member, first[1], first[2][2], first[2][4], tonumber(past[1] or 0), tonumber(past[2] or 0)}
  else
    redis.call('ZREM', due, member)
    redis.call('ZREM', oldest, member)
    redis.call('ZREM', leased, member)
    redis.call('DEL', states .. member)
  end
end
return {now, claims}
