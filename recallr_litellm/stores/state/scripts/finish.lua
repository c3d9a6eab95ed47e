-- Remove a processed session with all that belongs to it. 1 when nothing of it is left, 0 when it has to stay.
local session, blocks, due, open, current = unpack(KEYS)
local prefix, member, id, token = unpack(ARGV)

if redis.call('EXISTS', session) == 0 then return 1 end
if not leased(session, token) then return 0 end
local at = contents(prefix, member)
redis.call('DEL', session, blocks, at.messages, at.large, at.index, at.order)
redis.call('ZREM', due, member)
redis.call('ZREM', open, id)
redis.call('ZREM', prefix .. 'empty:' .. string.match(member, '^[^:]*'), id)
-- Any activity would have ended the lease: if the user still has this session as the current one, its time has passed.
if redis.call('GET', current) == id then redis.call('DEL', current) end
return 1
