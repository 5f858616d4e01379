-- begin: starts a new generation, if the mark is still what the caller judged. A generation that is
-- given up whatever its mark says is left wherever others have moved the mark meanwhile.
--
-- KEYS[1] the bucket's mark
-- ARGV[1] the mark that the caller read, '' when there was none    ARGV[2] the new mark
-- ARGV[3] the generation that is given up, '' for none
-- Replies 'begun', or 'changed' when another instance was first

local mark = redis.call('MGET', KEYS[1])[1] or ''
local generation = string.match(mark, '^%S+')
if mark ~= ARGV[1] and generation ~= ARGV[3] then return 'changed' end
redis.call('SET', KEYS[1], ARGV[2])
return 'begun'
