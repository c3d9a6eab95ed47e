-- Remove the job of a sweep that has come to its end, or have it done again: soon where something was left to delete, and
-- once more when nobody can be at work any more who began before the user was forgotten.
local state, due = unpack(KEYS)
local given_now, member, token, settled_ms, found = unpack(ARGV)

if not leased(state, token) then return 0 end
local now = clock(given_now)
if found == '1' then redis.call('HSET', state, 'begun', now) end
local again = redis.call('HGET', state, 'begun') + settled_ms
if again <= now then
  redis.call('DEL', state)
  redis.call('ZREM', due, member)
  return 1
end
redis.call('HDEL', state, 'lease')
redis.call('HSET', state, 'attempts', 0)
redis.call('ZADD', due, again, member)
return 0
