-- Texts of these messages in their order, up to the first that does not fit.
local messages = KEYS[1]
local ids = {}
for i = 2, #ARGV do ids[#ids + 1] = ARGV[i] end
return (within(messages, ids, tonumber(ARGV[1])))
