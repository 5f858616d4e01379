-- fill: stores what a reader loaded from MySQL after a miss.
--
-- Refused when the mark has passed the entry's as-of (R1): the key may have changed in between, or
-- been deleted and its entry evicted, and nothing else would notice.
--
-- KEYS[1] the bucket's mark                          KEYS[2] the entry
-- ARGV[1] generation, as known before the load       ARGV[2] the entry's as-of
-- ARGV[3] time to live in ms                         ARGV[4] the encoded entry
-- Replies 'stored', 'newer' (what is stored is as new), 'refused' (R1), 'generation'

local mark = redis.call('MGET', KEYS[1])[1]
local generation, version = string.match(mark or '', '^(%S+) (%d+) ')
if generation ~= ARGV[1] then return 'generation' end
if tonumber(ARGV[2]) < tonumber(version) then return 'refused' end

local stored = redis.pcall('GETRANGE', KEYS[2], 0, 16)
local asOf = type(stored) == 'string' and tonumber(string.match(stored, '^(%d+) ')) or -1
if asOf >= tonumber(ARGV[2]) then return 'newer' end
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[3])
return 'stored'
