-- How many members of a queue, `due` or `failed`, each project has, of some of them. A row for each project: its id, and
-- how many are not due yet, due, and being worked on. The owner of damaged ones is not known: they are left out.
local members = KEYS[1]
local given_now, states, first, last = unpack(ARGV)

local now, order, rows = clock(given_now), {}, {}
local found = redis.call('ZRANGE', members, first, last, 'WITHSCORES')
for i = 1, #found, 2 do
  local state = redis.pcall('HMGET', states .. found[i], 'owner', 'lease', 'ending')
  local known, owner = pcall(cjson.decode, state[1] or '')
  if known and type(owner) == 'table' then
    local row = rows[owner[1]]
    if not row then
      row = {owner[1], 0, 0, 0}
      rows[owner[1]], order[#order + 1] = row, row
    end
    local is_due = tonumber(found[i + 1]) <= now
    local place = (is_due or state[3]) and 3 or (state[2] and 4 or 2)
    row[place] = row[place] + 1
  end
end
return order
