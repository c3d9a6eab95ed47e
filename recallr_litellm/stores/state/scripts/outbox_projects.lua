-- How many of some dead letters of a bucket each project has: the id of the last one, and for each project two values.
local dead = KEYS[1]
local after, limit = unpack(ARGV)

local counts, last = {}, ''
for _, letter in ipairs(redis.call('XRANGE', dead, after, '+', 'COUNT', limit)) do
  local project = letter[2][12] or ''
  counts[project], last = (counts[project] or 0) + 1, letter[1]
end
local row = {last}
for project, count in pairs(counts) do
  row[#row + 1] = project
  row[#row + 1] = count
end
return row
