-- renew: the owner is alive. Replies with OK and the last seq in the log. If that is lower than what the log has
-- acknowledged, a failover lost a tail and the owner appends it again. The owner passes the time it has left by a
-- monotonic clock; the deadline is that from now, so a jump of the server's clock ends nothing.
local id, epoch, lease_ms, remaining_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local m = redis.call('HMGET', META, 'status', 'epoch', 'seq', 'released', 'grace')
if not m[1] or m[1] == 'deleted' then return { 'GONE' } end
if CLOSED[m[1]] then return closed_reply(META, m[1]) end
if epoch < tonumber(m[2]) then return { 'FENCED' } end
if epoch > tonumber(m[2]) then return { 'BEHIND' } end
if m[4] == '0' then
  local now = now_ms()
  redis.call('HSET', META, 'lease', int(now + lease_ms), 'deadline', int(now + remaining_ms))
  if m[5] then redis.call('HDEL', META, 'grace') end
  redis.call('ZADD', DEADLINES, int(now + math.min(lease_ms, remaining_ms)), id)
end
return { 'OK', m[3] }
