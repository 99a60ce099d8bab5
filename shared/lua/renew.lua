-- renew: owners are alive. Replies with OK and the last seq in the log. If that is lower than what the log has
-- acknowledged, a failover lost a tail and the owner appends it again. An owner passes the time it has left by a
-- monotonic clock; the deadline is that from now, so a jump of the server's clock ends nothing.
--
-- One call carries the renewals of many generations, as append does and for the same reason. The script checks each
-- separately and replies to each separately, in order. KEYS are META and DEADLINES of each.
-- ARGV: lease, then of each: id, epoch, time left.
local lease_ms = tonumber(ARGV[1])
local now = now_ms()
local lease = int(now + lease_ms)

local function renew(meta, deadlines, id, epoch, remaining_ms)
  local m = redis.call('HMGET', meta, 'status', 'epoch', 'seq', 'released', 'grace')
  if not m[1] or m[1] == 'deleted' then return { 'GONE' } end
  if CLOSED[m[1]] then return closed_reply(meta, m[1]) end
  if epoch < tonumber(m[2]) then return { 'FENCED' } end
  if epoch > tonumber(m[2]) then return { 'BEHIND' } end
  if m[4] == '0' then
    redis.call('HSET', meta, 'lease', lease, 'deadline', int(now + remaining_ms))
    if m[5] then redis.call('HDEL', meta, 'grace') end
    redis.call('ZADD', deadlines, int(now + math.min(lease_ms, remaining_ms)), id)
  end
  return { 'OK', m[3] }
end

local replies = {}
for i = 1, #KEYS / 2 do
  local at = 3 * i - 1
  replies[i] = renew(KEYS[2 * i - 1], KEYS[2 * i], ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]))
end
return replies
