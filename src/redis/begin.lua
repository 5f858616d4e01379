-- begin: starts a new generation, if the mark is still what the caller judged.
--
-- KEYS[1] the bucket's mark
-- ARGV[1] the mark that the caller read, '' when there was none    ARGV[2] the new mark
-- Replies 'begun', or 'changed' when another instance was first

local mark = redis.call('MGET', KEYS[1])[1] or ''
if mark ~= ARGV[1] then return 'changed' end
redis.call('SET', KEYS[1], ARGV[2])
return 'begun'
