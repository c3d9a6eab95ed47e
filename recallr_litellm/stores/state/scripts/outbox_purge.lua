-- Delete all payloads of a user, or of one session, in a bucket, queued and dead. Returns how many there were.
-- A worker that is just sending one of them finds its lease ended.
local due, failed, totals, dead = unpack(KEYS)
local wanted, queues, states, all_of_user = unpack(ARGV)

local function theirs(member)
  return member == wanted or (all_of_user == '1' and string.sub(member, 1, #wanted) == wanted)
end

-- Payloads of a queue, and their bytes. Counted one by one: the state of a member that was set aside is damaged.
local function size(queue)
  local count, bytes, after = 0, 0, '-'
  repeat
    local entries = redis.pcall('XRANGE', queue, after, '+', 'COUNT', 50)
    if entries.err then break end
    for _, entry in ipairs(entries) do
      count, bytes, after = count + 1, bytes + #entry[2][4], '(' .. entry[1]
    end
  until #entries == 0
  return count, bytes
end

local purged = 0
for _, members in ipairs({due, failed}) do
  for _, member in ipairs(redis.call('ZRANGE', members, 0, -1)) do
    if theirs(member) then
      local count, bytes = size(queues .. member)
      redis.call('HINCRBY', totals, 'queued', 0 - count)
      redis.call('HINCRBY', totals, 'bytes', 0 - bytes)
      redis.call('DEL', queues .. member, states .. member)
      redis.call('ZREM', members, member)
      purged = purged + count
    end
  end
end
local after = '-'
repeat
  local letters = redis.call('XRANGE', dead, after, '+', 'COUNT', 50)
  for _, letter in ipairs(letters) do
    if theirs(letter[2][4]) then
      redis.call('XDEL', dead, letter[1])
      redis.call('HINCRBY', totals, 'dead_bytes', -#letter[2][10])
      purged = purged + 1
    end
    after = '(' .. letter[1]
  end
until #letters == 0
return purged
