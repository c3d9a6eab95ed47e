-- How many members of a bucket are due now, will be due (waiting or leased), and failed.
local due, failed = unpack(KEYS)

local ready = redis.call('ZCOUNT', due, '-inf', clock(ARGV[1]))
return {ready, redis.call('ZCARD', due) - ready, redis.call('ZCARD', failed)}
