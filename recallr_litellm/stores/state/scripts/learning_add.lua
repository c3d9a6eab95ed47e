-- Have a session learned; its user is due now unless somebody is learning of them, or it waits for something.
local sessions, state, due, gone_user, gone_session = unpack(KEYS)
local given_now, member, owner, session, at = unpack(ARGV)

if redis.call('EXISTS', gone_user, gone_session) > 0 then return 0 end
redis.call('ZADD', sessions, at, session)
redis.call('HSET', state, 'owner', owner)
redis.call('ZADD', due, 'NX', clock(given_now), member)
return 1
