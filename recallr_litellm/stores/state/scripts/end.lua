-- Have a session processed now, if it waits for its timeout. Answers `ended`, `repeated` or `busy`; false: it is not here.
local session, due, failed, marker = unpack(KEYS)
local given_now, member, keyed, marker_ttl = unpack(ARGV)

if keyed ~= '' and redis.call('EXISTS', marker) == 1 then return 'repeated' end
if redis.call('EXISTS', session) == 0 then return false end
if redis.call('HEXISTS', session, 'lease') == 1 or redis.call('HEXISTS', session, 'ending') == 1
  or redis.call('ZSCORE', failed, member) then return 'busy' end
redis.call('HSET', session, 'ending', 1)
redis.call('ZADD', due, clock(given_now), member)
if keyed ~= '' then redis.call('SET', marker, 1, 'EX', marker_ttl) end
return 'ended'
