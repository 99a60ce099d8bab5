-- renew: the owner is alive. Answers the last seq the log holds: lower than what was acknowledged
-- means a failover lost a tail, and the owner appends it again. The owner says how much time it has left,
-- by a clock that cannot jump: the deadline is what the server's clock makes of that.
local id, epoch, lease_ms, remaining_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local m = redis.call('HMGET', META, 'status', 'epoch', 'seq', 'released', 'grace')
if not m[1] or m[1] == 'deleted' then return { 'GONE' } end
if CLOSED[m[1]] then return { 'CLOSED' } end
if epoch < tonumber(m[2]) then return { 'FENCED' } end
if epoch > tonumber(m[2]) then return { 'BEHIND' } end
if m[4] == '0' then
  local now = now_ms()
  redis.call('HSET', META, 'lease', int(now + lease_ms), 'deadline', int(now + remaining_ms))
  if m[5] then redis.call('HDEL', META, 'grace') end
  redis.call('ZADD', DEADLINES, int(now + math.min(lease_ms, remaining_ms)), id)
end
return { 'OK', m[3] }
