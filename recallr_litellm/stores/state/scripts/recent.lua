-- For each session, texts of its newest messages, as many as fit; "outdated" for one that an earlier version wrote to.
local left, most, prefix = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

local answers = {}
for i = 4, #ARGV do
  local at = contents(prefix, ARGV[i])
  if redis.call('ZCARD', at.order) == redis.call('HLEN', at.messages) then
    answers[#answers + 1], left = within(at.messages, redis.call('ZREVRANGE', at.order, 0, most - 1), left)
  else
    answers[#answers + 1] = 'outdated'
  end
end
return answers
