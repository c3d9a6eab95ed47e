-- Note that a user exists and what its name is, unless a later name is known. 0 for one that is forgotten.
local user, gone = unpack(KEYS)
local name, renamings, marker_ttl = unpack(ARGV)

if redis.call('EXISTS', gone) == 1 then return 0 end
local known = string.match(redis.call('GET', user) or '', ' (%d+)$')
if not known or tonumber(known) <= tonumber(renamings) then
  redis.call('SET', user, name .. ' ' .. renamings, 'EX', marker_ttl)
end
return 1
