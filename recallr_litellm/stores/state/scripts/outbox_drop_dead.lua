-- Delete the dead letters of a bucket. Returns how many there were.
local dead, totals = unpack(KEYS)

local there = redis.call('XLEN', dead)
redis.call('DEL', dead)
redis.call('HDEL', totals, 'dead_bytes')
return there
