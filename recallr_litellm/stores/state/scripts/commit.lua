-- Write one exchange into its session, once, if nobody else wrote to the session since it was read.
local session, part_session, due, failed, open, exchange, answer_chat = unpack(KEYS)
local given_now, prefix, owner, id, part, expected, kind, marker_ttl, answer, added, dropped =
  unpack(ARGV, 1, 11)
local FIRST_MESSAGE = 12 -- five values for each of `added`; then ids: `dropped`, and the rest to be moved to the part

local mark = redis.call('GET', exchange)
if mark == 'final' and kind ~= 'amended' then return 'duplicate' end
local version = tonumber(redis.call('HGET', session, 'version'))
if not version then return 'gone' end

-- The exchange's own partial commits are no conflict: while the last of them is the last write of all, any version
-- from the one that the first was based on will do. So a commit whose answer was lost can be repeated as it was.
local base = version
local first, reached = string.match(mark or '', '^(%d+) (%d+)$')
if first and tonumber(reached) == version then base = tonumber(first) end
expected = tonumber(expected)
if expected < base or expected > version then return 'conflict' end

local now = clock(given_now)
local at = contents(prefix, owner .. ':' .. id)
put(at, FIRST_MESSAGE, added)
local first_dropped = FIRST_MESSAGE + 5 * added
local first_moved = first_dropped + dropped
for i = first_dropped, first_moved - 1 do remove(at, ARGV[i]) end

-- The oldest part of a session past its bound becomes a session of its own, to be processed now.
local part_at = contents(prefix, owner .. ':' .. part)
for i = first_moved, #ARGV do move(at, part_at, ARGV[i]) end
if first_moved <= #ARGV and redis.call('EXISTS', part_at.messages) == 1 then
  part_of(session, part_session, 1, now)
  redis.call('ZADD', open, now, part)
  redis.call('ZADD', due, now, owner .. ':' .. part)
end

local last = touch(session, due, failed, owner .. ':' .. id, now)
if redis.call('EXISTS', at.messages) == 1 then
  redis.call('ZADD', open, last, id)
  redis.call('ZREM', prefix .. 'empty:' .. owner, id)
else
  redis.call('ZREM', open, id)
end
redis.call('HSET', session, 'version', version + 1)
mark = kind == 'partial' and string.format('%.0f %.0f', base, version + 1) or 'final'
redis.call('SET', exchange, mark, 'EX', marker_ttl)
if answer ~= '' then redis.call('SET', answer_chat, id, 'EX', redis.call('HGET', session, 'timeout') + marker_ttl) end
return 'stored'
