-- Write one exchange into its session, once, if nobody else wrote to the session since it was read.
local session, messages, due, failed, open, exchange = unpack(KEYS)
local given_now, member, id, expected, kind, marker_ttl, added = unpack(ARGV, 1, 7) -- all of ARGV may be more than `unpack` takes
local FIRST_MESSAGE = 8

local mark = redis.call('GET', exchange)
if mark == 'final' then return 'duplicate' end
local version = tonumber(redis.call('HGET', session, 'version'))
if not version then return 'gone' end

-- The exchange's own partial commits are no conflict: while the last of them is the last write of all, any version
-- from the one that the first was based on will do. So a commit whose answer was lost can be repeated as it was.
local base = version
local first, reached = string.match(mark or '', '^(%d+) (%d+)$')
if first and tonumber(reached) == version then base = tonumber(first) end
expected = tonumber(expected)
if expected < base or expected > version then return 'conflict' end

local dropped_from = FIRST_MESSAGE + 2 * added
for i = FIRST_MESSAGE, dropped_from - 1, 2 do redis.call('HSET', messages, ARGV[i], ARGV[i + 1]) end
for i = dropped_from, #ARGV do redis.call('HDEL', messages, ARGV[i]) end

local last = touch(session, due, failed, member, clock(given_now))
if redis.call('EXISTS', messages) == 1 then
  redis.call('ZADD', open, last, id)
else
  redis.call('ZREM', open, id)
end
redis.call('HSET', session, 'version', version + 1)
if kind == 'partial' then kind = string.format('%.0f %.0f', base, version + 1) end
redis.call('SET', exchange, kind, 'EX', marker_ttl)
return 'stored'
