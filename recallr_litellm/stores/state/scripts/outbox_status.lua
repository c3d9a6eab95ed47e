-- What a bucket of the outbox holds and what became of the rest, in the order of `OutboxStatus`.
local oldest, leased, totals, dead = unpack(KEYS)

local now = clock(ARGV[1])
local first = redis.call('ZRANGE', oldest, 0, 0, 'WITHSCORES')
local status = {first[2] and math.max(0, now - first[2]) or -1}
for _, value in ipairs(redis.call('HMGET', totals, 'queued', 'bytes', 'added', 'delivered', 'retried', 'dropped')) do
  status[#status + 1] = tonumber(value or 0)
end
status[#status + 1] = redis.call('ZCOUNT', leased, '(' .. now, '+inf')
status[#status + 1] = redis.call('XLEN', dead)
return status
