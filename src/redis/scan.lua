-- scan: the next keys that have an entry in a generation of a bucket, some thousand names at a time.
--
-- It looks at the names of the whole server (of a cluster's node), so that a slice may hold none of
-- this bucket. As SCAN does: what is there from the first slice to the last comes once at least.
--
-- KEYS[1] the bucket's mark, by whose name those of its entries begin
-- ARGV[1] generation
-- ARGV[2] cursor: '0' to begin, then what the slice before replied    ARGV[3] names to look at
-- Replies the next cursor ('0': that was the last slice), then the keys

local prefix = string.sub(KEYS[1], 1, -#'mark' - 1) .. ARGV[1] .. ':'
local pattern = string.gsub(prefix, '[%*%?%[%]\\]', '\\%0') .. '*'
local slice = redis.call('SCAN', ARGV[2], 'MATCH', pattern, 'COUNT', ARGV[3])
local reply = { slice[1] }
for _, name in ipairs(slice[2]) do
  reply[#reply + 1] = string.sub(name, #prefix + 1)
end
return reply
