-- Keep a lease for longer. 0 if it has ended.
local state, due = unpack(KEYS)
local given_now, member, token, lease_ms = unpack(ARGV)

if not leased(state, token) then return 0 end
redis.call('ZADD', due, clock(given_now) + lease_ms, member)
return 1
