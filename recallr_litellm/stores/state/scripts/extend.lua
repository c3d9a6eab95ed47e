-- Keep a lease for longer.
local session, due = unpack(KEYS)
local given_now, member, lease, lease_ms = unpack(ARGV)

if not leased(session, lease) then return 0 end
redis.call('ZADD', due, clock(given_now) + lease_ms, member)
return 1
