-- apply: writes one page of changes into one bucket and moves its mark, in one step.
--
-- The page covers the changes after `from` up to `to`. Every entry of the bucket is the truth at the
-- mark, before and after: what the page did not touch is the same at both. Several instances may
-- apply the same page, or pages that overlap, in any order.
--
-- KEYS[1]    the bucket's mark
-- KEYS[2..]  the entries that the page changed in this bucket (may be none)
-- ARGV[1]    generation the caller knows     ARGV[2] from, a version
-- ARGV[3]    to, a version                   ARGV[4] the new mark
-- ARGV[5..]  per entry: its time to live in ms, the encoded entry ('' removes it)
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
  local ttl, entry = ARGV[1 + 2 * i], ARGV[2 + 2 * i]
  if entry == '' then
    redis.call('DEL', KEYS[i])
  else
    redis.call('SET', KEYS[i], entry, 'PX', ttl)
  end
end
redis.call('SET', KEYS[1], ARGV[4])
return 'applied'
