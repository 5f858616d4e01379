-- announce: writes a reader's entry in the roster, and itself into the list of all readers, from
-- which it takes those whose entries have ended.
--
-- KEYS[1]    the list of ids
-- KEYS[2]    the announcing reader's entry
-- KEYS[3..]  the entries of all ids that are to be in the list, its own too
-- ARGV[1]    the list as the caller read it, '' when there was none
-- ARGV[2]    the announcing reader's entry    ARGV[3] its time to live in ms
-- ARGV[4..]  the ids of KEYS[3..]
-- Replies    'announced', or 'changed' when the list is another by now: then only the entry is written

redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
if (redis.call('MGET', KEYS[1])[1] or '') ~= ARGV[1] then return 'changed' end
local ids = {}
for i = 3, #KEYS do
  if redis.call('TYPE', KEYS[i]).ok == 'string' then ids[#ids + 1] = ARGV[i + 1] end
end
redis.call('SET', KEYS[1], table.concat(ids, ' '), 'PX', ARGV[3])
return 'announced'
