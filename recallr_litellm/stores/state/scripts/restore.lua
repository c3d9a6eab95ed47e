-- Put a processed session back.
local session, messages, due, failed, open, current = unpack(KEYS)
local given_now, member, id, who, created, timeout = unpack(ARGV, 1, 6) -- all of ARGV may be more than `unpack` takes
local FIRST_MESSAGE = 7

if redis.call('EXISTS', session) == 1 then return 0 end
local now = clock(given_now)
-- A version that the session cannot have had in its earlier life, in which each commit added one to a smaller number.
redis.call('HSET', session, 'owner', who, 'created', created, 'version', now, 'timeout', timeout)
for i = FIRST_MESSAGE, #ARGV, 2 do redis.call('HSET', messages, ARGV[i], ARGV[i + 1]) end
local last = touch(session, due, failed, member, now)
if #ARGV >= FIRST_MESSAGE then redis.call('ZADD', open, last, id) end
redis.call('SET', current, id, 'NX')
return 1
