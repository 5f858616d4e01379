-- apply: writes one page of changes into one bucket and moves its mark, in one step.
--
-- The page covers the changes after `from` up to `to`. An entry is set only over an older one, so
-- several instances may apply the same page in any order, and one of them is enough.
--
-- KEYS[1]    the bucket's mark
-- KEYS[2..]  the entries that the page changed in this bucket (may be none)
-- ARGV[1]    generation the caller knows     ARGV[2] from, a version
-- ARGV[3]    to, a version                   ARGV[4] the new mark
-- ARGV[5..]  per entry: its as-of, its time to live in ms, the encoded entry
-- Replies    'applied', 'done' (the mark is there already), 'behind' (the mark is before `from`),
--            'generation' (another generation, or no mark)

-- MGET, since it answers nil for a key of another type, where GET would fail.
local mark = redis.call('MGET', KEYS[1])[1]
local generation, version = string.match(mark or '', '^(%S+) (%d+) ')
if generation ~= ARGV[1] then return 'generation' end
version = tonumber(version)
if version < tonumber(ARGV[2]) then return 'behind' end
if version >= tonumber(ARGV[3]) then return 'done' end

for i = 2, #KEYS do
  local arg = 5 + (i - 2) * 3
  local stored = redis.pcall('GETRANGE', KEYS[i], 0, 16)
  local asOf = type(stored) == 'string' and tonumber(string.match(stored, '^(%d+) ')) or -1
  if asOf < tonumber(ARGV[arg]) then
    redis.call('SET', KEYS[i], ARGV[arg + 2], 'PX', ARGV[arg + 1])
  end
end
redis.call('SET', KEYS[1], ARGV[4])
return 'applied'
