-- apply: writes one page of changes into one bucket and moves its mark, in one step, if the mark is
-- still what the caller judged.
--
-- The page covers at least the changes after that mark up to the new one. Every entry of the bucket
-- is the truth at the mark, before and after: what the page did not touch is the same at both. The
-- whole mark is compared, with its checksum: of instances that apply the same changes one succeeds,
-- and a mark that was damaged meanwhile is not made good again.
--
-- KEYS[1]    the bucket's mark
-- KEYS[2..]  the entries that the page changed in this bucket (may be none)
-- ARGV[1]    the mark that the caller read       ARGV[2] the new mark
-- ARGV[3..]  per entry: its time to live in ms, the encoded entry ('' removes it)
-- Replies    'applied', or 'changed' when the mark is another by now

-- MGET, since it answers nil for a key of another type, where GET would fail.
local mark = redis.call('MGET', KEYS[1])[1]
if mark ~= ARGV[1] then return 'changed' end

for i = 2, #KEYS do
  local ttl, entry = ARGV[2 * i - 1], ARGV[2 * i]
  if entry == '' then
    redis.call('DEL', KEYS[i])
  else
    redis.call('SET', KEYS[i], entry, 'PX', ttl)
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return 'applied'
