-- A session was learned, or is not to be. 0: the lease has ended. 1: its user has more, perhaps the same once more.
-- 2: nothing is left.
local sessions, state, due = unpack(KEYS)
local given_now, member, token, session, added = unpack(ARGV)

if not leased(state, token) then return 0 end
if session ~= '' and (redis.call('HGET', state, 'added ' .. session) or '') == added then
  redis.call('ZREM', sessions, session)
  redis.call('HDEL', state, 'added ' .. session)
end
if redis.call('EXISTS', sessions) == 1 then
  redis.call('HSET', state, 'attempts', 1) -- the next session begins anew
  return 1
end
redis.call('DEL', state)
redis.call('ZREM', due, member)
return 2
