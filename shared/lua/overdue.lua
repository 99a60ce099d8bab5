-- overdue: open generations that should have moved by now, from all the deadline keys given; at
-- most `limit` of each. One call for all 64 partitions where they share a server. Whoever asks first
-- in a period gets the answer and the others nothing: the cost must not grow with the fleet.
local limit, lease_ms, period_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
-- Further away than one period: set by a server whose clock was ahead.
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= period_ms then return {} end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[3])

local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local found = {}
for i = 2, #KEYS do
  local key = KEYS[i]
  -- Further away than one lease: written by a server whose clock was ahead.
  local late = redis.call('ZRANGE', key, '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, limit)
  local odd = redis.call('ZRANGE', key, string.format('(%.0f', now + lease_ms), '+inf', 'BYSCORE', 'LIMIT', 0, limit)
  for _, id in ipairs(late) do found[#found + 1] = id end
  for _, id in ipairs(odd) do found[#found + 1] = id end
end
return found
