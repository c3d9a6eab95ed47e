-- Move messages of a session to a new one, unless somebody wrote to it since it was read.
local session, part_session, due, open, current, blocks, part_blocks = unpack(KEYS)
local given_now, prefix, owner, id, part, expected, enters = unpack(ARGV, 1, 7) -- all of ARGV may be too much for it
local FIRST_MOVED = 8

if redis.call('HGET', session, 'version') ~= expected then return 0 end
local now = clock(given_now)
local from, to = contents(prefix, owner .. ':' .. id), contents(prefix, owner .. ':' .. part)
for i = FIRST_MOVED, #ARGV do move(from, to, ARGV[i]) end
part_of(session, part_session, 0, now)
redis.call('ZADD', open, now, part)
redis.call('ZADD', due, now + redis.call('HGET', session, 'timeout') * 1000, owner .. ':' .. part)
redis.call('HINCRBY', session, 'version', 1)
-- Memory blocks stand before their own messages only, so that each session may keep all of them.
local kept = redis.call('LRANGE', blocks, 0, -1)
if #kept > 0 then redis.call('RPUSH', part_blocks, unpack(kept)) end
if enters == '1' then redis.call('SET', current, part) end
return 1
