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
-- ARGV[3] [4] time to live in ms, of values and of absences
-- ARGV[5]    the entries in the order of their keys, as pack.ts has them: '<kind><bytes> <entry>'
-- Replies    'applied', or 'changed' when the mark is another by now

-- MGET, since it answers nil for a key of another type, where GET would fail.
local mark = redis.call('MGET', KEYS[1])[1]
if mark ~= ARGV[1] then return 'changed' end

local packed, at = ARGV[5], 1
for i = 2, #KEYS do
  local kind, bytes, start = string.match(packed, '^(.)(%d+) ()', at)
  at = start + bytes
  if kind == 'x' then
    redis.call('DEL', KEYS[i])
  else
    local ttl = kind == 'v' and ARGV[3] or ARGV[4]
    redis.call('SET', KEYS[i], string.sub(packed, start, at - 1), 'PX', ttl)
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return 'applied'
