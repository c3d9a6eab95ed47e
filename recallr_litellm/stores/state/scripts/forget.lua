-- Begin to forget a user, or one of its sessions: from now on nothing is written for it, and a job is there, leased to the
-- caller, by which somebody else finishes it where the caller dies. Returns whether the session was there, and how many
-- messages it held; -1 where the session was used after `unused_since`: nothing is done.
local gone, due, state, user, open, current, sessions_due, sessions_failed = unpack(KEYS)
local given_now, prefix, owner, id, who, names, token, lease_ms, gone_seconds, unused_since = unpack(ARGV)

local now = clock(given_now)
local member = owner .. ':' .. id
local there, messages = 0, 0
if id == '' then
  redis.call('DEL', user)
else
  local session = prefix .. 'session:' .. member
  local last = redis.call('HGET', session, 'last')
  if last and unused_since ~= '' and tonumber(last) > tonumber(unused_since) then return {-1, 0} end
  local at = contents(prefix, member)
  messages = redis.call('HLEN', at.messages)
  there = redis.call('DEL', session)
  redis.call('DEL', prefix .. 'blocks:' .. member, at.messages, at.large, at.index, at.order)
  redis.call('ZREM', sessions_due, member)
  redis.call('ZREM', sessions_failed, member)
  redis.call('ZREM', open, id)
  redis.call('ZREM', prefix .. 'empty:' .. owner, id)
  if redis.call('GET', current) == id then redis.call('DEL', current) end
end
redis.call('SET', gone, 1, 'EX', gone_seconds)
redis.call('HSET', state, 'owner', who, 'names', names, 'begun', now, 'lease', token, 'attempts', 1)
redis.call('ZADD', due, now + lease_ms, member)
return {there, messages}
