-- Index messages that an earlier version has written, unless the session has changed since they were read.
local session = KEYS[1]
local prefix, member, version, first = unpack(ARGV, 1, 4) -- all of ARGV may be more than `unpack` takes

if redis.call('HGET', session, 'version') ~= version then return 0 end
local at = contents(prefix, member)
if first ~= '' then redis.call('DEL', at.index, at.order) end
put(at, 5, (#ARGV - 4) / 5)
return 1
