-- renew: the owner is alive. Answers the last seq the log holds: lower than what was acknowledged
-- means a failover lost a tail, and the owner appends it again.
local id, epoch, lease_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local m = redis.call('HMGET', META, 'status', 'epoch', 'seq', 'released', 'deadline')
if not m[1] or m[1] == 'deleted' then return { 'GONE' } end
if CLOSED[m[1]] then return { 'CLOSED' } end
if epoch < tonumber(m[2]) then return { 'FENCED' } end
if epoch > tonumber(m[2]) then return { 'BEHIND' } end
if m[4] == '0' then
  local now = now_ms()
  redis.call('HSET', META, 'lease', int(now + lease_ms))
  redis.call('ZADD', DEADLINES, int(math.min(now + lease_ms, tonumber(m[5]))), id)
end
return { 'OK', m[3] }
