-- The memory block of a turn, or nil.
local blocks = unpack(KEYS)
local at = redis.call('LPOS', blocks, ARGV[1])
return at and redis.call('LINDEX', blocks, at + 1)
