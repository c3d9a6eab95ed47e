-- Some dead letters of a bucket, oldest first, without their payloads: six values for each.
local dead = KEYS[1]
local after, limit = unpack(ARGV)

local rows = {}
for _, letter in ipairs(redis.call('XRANGE', dead, after, '+', 'COUNT', limit)) do
  local _, message, _, member, _, status, _, reason, _, _, _, project = unpack(letter[2])
  rows[#rows + 1] = {letter[1], message, member, status, reason, project or ''}
end
return rows
