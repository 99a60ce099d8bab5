-- overdue: ids of open generations whose deadline score has passed, at most `limit` of each of the KEYS. One call covers
-- all partitions on one server; on a cluster each partition has its own call.
local limit, lease_ms = ARGV[1], tonumber(ARGV[2])

local now = now_ms()
local ids = {}
for _, key in ipairs(KEYS) do
  local late = redis.call('ZRANGE', key, '-inf', int(now), 'BYSCORE', 'LIMIT', 0, limit)
  -- A score more than one lease from now came from a server whose clock was ahead.
  local ahead = redis.call('ZRANGE', key, '(' .. int(now + lease_ms), '+inf', 'BYSCORE', 'LIMIT', 0, limit)
  for _, id in ipairs(late) do ids[#ids + 1] = id end
  for _, id in ipairs(ahead) do ids[#ids + 1] = id end
end
return ids
