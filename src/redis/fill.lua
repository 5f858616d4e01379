-- fill: stores what a reader loaded from MySQL after a miss.
--
-- Refused unless it is the truth at the mark (R1). Older than the mark: the key may have changed in
-- between, or been deleted and its entry evicted, and nothing else would notice. Newer: history may
-- yet lose what it saw, and the page that brings it is on its way.
--
-- KEYS[1] the bucket's mark                          KEYS[2] the entry
-- ARGV[1] generation, as known before the load
-- ARGV[2] [3] the first and last version at which the entry is known to be the truth
-- ARGV[4] time to live in ms                         ARGV[5] the encoded entry
-- Replies 'stored', 'replaced' (stored over a key of another type), 'refused' (R1), 'generation'

local mark = redis.call('MGET', KEYS[1])[1]
local generation, version = string.match(mark or '', '^(%S+) (%d+) ')
if generation ~= ARGV[1] then return 'generation' end
version = tonumber(version)
if version < tonumber(ARGV[2]) or version > tonumber(ARGV[3]) then return 'refused' end
local before = redis.call('TYPE', KEYS[2]).ok
redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[4])
return (before == 'none' or before == 'string') and 'stored' or 'replaced'
