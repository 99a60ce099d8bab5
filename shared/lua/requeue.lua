-- requeue: a sweep asks what to do about an overdue generation. OK moves its deadline score by one lease and counts a
-- delivery, so exactly one of many sweepers enqueues. From then on the owner counts as lost, however long the delivery
-- waits, unless it appends or renews first.
-- Replies with OK and the number of that delivery; INTERRUPTED or EXHAUSTED and a reason; NOT_DUE, PAST_DEADLINE,
-- CLOSED or GONE.
local id, lease_ms, max_attempts = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local m = redis.call('HMGET', META, 'status', 'lease', 'attempt', 'counted', 'reason', 'on_interrupt', 'deadline', 'deadline_ms', 'deliveries', 'grace')
local status = m[1]
if not status or status == 'deleted' or CLOSED[status] then
  redis.call('ZREM', DEADLINES, id)
  return { status and CLOSED[status] and 'CLOSED' or 'GONE' }
end
local now = now_ms()
local lease, deadline = tonumber(m[2]), tonumber(m[7])
-- If the server's clock fell back, the generation must not wait for the difference.
if deadline > now + tonumber(m[8]) then
  deadline = now + tonumber(m[8])
  redis.call('HSET', META, 'deadline', int(deadline))
end
if now >= deadline then
  -- Sweeps run every second. A deadline missed by more than a lease means that none could run, or that the clock
  -- jumped. A living owner gets one lease to say how much time it has left (renew).
  local grace = tonumber(m[10])
  if not grace and now - deadline > lease_ms then
    grace = now + lease_ms
    redis.call('HSET', META, 'grace', int(grace))
    redis.call('ZADD', DEADLINES, int(grace), id)
  end
  if grace and is_leased(grace, now, lease_ms) then return { 'NOT_DUE' } end
  return { 'PAST_DEADLINE' }
end
if is_leased(lease, now, lease_ms) then
  redis.call('ZADD', DEADLINES, int(math.min(lease, deadline)), id)
  return { 'NOT_DUE' }
end
-- Sweeps run four times per lease. A lease that expired more than half a lease ago, or that a clock ahead has written,
-- expired while no sweep could run. Its owner could not renew it either, so the owner gets half a lease to do so.
if tonumber(m[3]) > 0 and lease > 0 and (now - lease > lease_ms / 2 or lease > now + lease_ms) then
  lease = math.min(now + math.floor(lease_ms / 2), deadline)
  redis.call('HSET', META, 'lease', int(lease))
  redis.call('ZADD', DEADLINES, int(lease), id)
  return { 'NOT_DUE' }
end
local score = tonumber(redis.call('ZSCORE', DEADLINES, id) or 0)
if score > now and score <= now + lease_ms then return { 'NOT_DUE' } end
if tonumber(m[3]) > 0 then
  local reason = m[5] or 'worker_lost'
  if m[6] == 'fail' then return { 'INTERRUPTED', reason } end
  if reason ~= 'worker_shutdown' and tonumber(m[4]) >= max_attempts then return { 'EXHAUSTED', reason } end
end
local delivery = int(tonumber(m[9]) + 1)
redis.call('HSET', META, 'deliveries', delivery, 'lease', 0)
redis.call('ZADD', DEADLINES, int(math.min(now + lease_ms, deadline)), id)
return { 'OK', delivery }
