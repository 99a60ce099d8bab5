-- overdue: open generations that should have moved by now, from all the deadline keys given; at most
-- `limit` of each. One call for all partitions where they share a server, one for each on a cluster.
local limit, lease_ms = ARGV[1], tonumber(ARGV[2])

local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local found = {}
for _, key in ipairs(KEYS) do
  local late = redis.call('ZRANGE', key, '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, limit)
  -- Further away than one lease: written by a server whose clock was ahead.
  local odd = redis.call('ZRANGE', key, string.format('(%.0f', now + lease_ms), '+inf', 'BYSCORE', 'LIMIT', 0, limit)
  for _, id in ipairs(late) do found[#found + 1] = id end
  for _, id in ipairs(odd) do found[#found + 1] = id end
end
return found
