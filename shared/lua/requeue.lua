-- requeue: the sweep found this generation overdue. Moves its deadline by one lease and counts a
-- delivery, so that of many sweepers exactly one enqueues. From then on the owner counts as lost, however
-- long the delivery waits, unless it writes or renews first.
local id, lease_ms, max_attempts = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local m = redis.call('HMGET', META, 'status', 'lease', 'attempt', 'counted', 'reason', 'on_interrupt', 'deadline', 'deadline_ms', 'deliveries', 'grace')
local status = m[1]
if not status or status == 'deleted' or CLOSED[status] then
  redis.call('ZREM', DEADLINES, id)
  return { status and CLOSED[status] and 'CLOSED' or 'GONE' }
end
local now = now_ms()
local lease, deadline = tonumber(m[2]), tonumber(m[7])
-- A server whose clock fell back must not strand a generation for the difference.
if deadline > now + tonumber(m[8]) then
  deadline = now + tonumber(m[8])
  redis.call('HSET', META, 'deadline', int(deadline))
end
if now >= deadline then
  -- Somebody looks every second: a deadline missed by more than a lease means that nobody could, or that
  -- the clock has jumped. An owner that lives has one lease to say how much time is left (renew).
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
-- Somebody looks four times in a lease: one that was missed by half of itself, or that a clock ahead has
-- written, ran out while nobody could look. Then its owner could not renew it either, and has half a lease to.
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
