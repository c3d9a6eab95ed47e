-- Have a session learned; its user is due now unless somebody is learning of them, or it waits for something, or it was
-- set aside.
local sessions, state, due, failed, gone_user, gone_session = unpack(KEYS)
local given_now, member, owner, session, at = unpack(ARGV)

if redis.call('EXISTS', gone_user, gone_session) > 0 then return 0 end
redis.call('ZADD', sessions, at, session)
redis.call('HSET', state, 'owner', owner)
redis.call('HINCRBY', state, 'added ' .. session, 1)
if not redis.call('ZSCORE', failed, member) then redis.call('ZADD', due, 'NX', clock(given_now), member) end
return 1
