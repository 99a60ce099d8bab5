-- take: a worker begins an attempt, or (heal) writes again the beginning that a failover lost.
-- Replies with OK and, unless it healed: epoch, attempt, counted attempts, ms until the deadline, ms since create, reason,
-- on_interrupt, traceparent, request; INTERRUPTED or EXHAUSTED and a reason; HELD, FENCED, CLOSED or GONE.
local id, token, random = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lease_ms, max_attempts = tonumber(ARGV[4]), tonumber(ARGV[5])
local heal_epoch, heal_attempt, heal_reason, heal_counted = tonumber(ARGV[6]), ARGV[7], ARGV[8], tonumber(ARGV[9])

local m = redis.call('HMGET', META, 'status', 'epoch', 'attempt', 'counted', 'lease', 'owner', 'reason', 'on_interrupt', 'deadline', 'deadline_ms', 'created', 'trace', 'seq')
local status = m[1]
if not status or status == 'deleted' then return { 'GONE' } end
if CLOSED[status] then return { 'CLOSED' } end
local now = now_ms()
local epoch, attempt, counted = tonumber(m[2]), tonumber(m[3]), tonumber(m[4])

local function begin(with_epoch, with_attempt, with_counted, reason)
  local text = int(with_epoch)
  redis.call('HSET', META, 'status', 'running', 'epoch', text, 'seq', 0, 'attempt', with_attempt, 'counted', with_counted,
    'lease', int(now + lease_ms), 'owner', token, 'released', 0, 'chars', 0, 'tokens', 0, 'last_reason', reason)
  redis.call('HSETNX', META, 'started', int(now))
  redis.call('HDEL', META, 'reason', 'grace')
  local data = string.format('{"attempt":%s,"reason":"%s"}', int(with_attempt), reason)
  redis.call('XADD', LOG, text .. '-0', 'type', 'attempt', 'data', data)
  publish(LOG, m[2] .. '-' .. m[13], text .. '-0', 'attempt\n' .. data)
  redis.call('ZADD', DEADLINES, int(math.min(now + lease_ms, tonumber(m[9]))), id)
end

if heal_epoch > 0 then
  if heal_epoch < epoch then return { 'FENCED' } end
  if heal_epoch > epoch then begin(heal_epoch, tonumber(heal_attempt), math.max(counted, heal_counted), heal_reason) end
  return { 'OK' }
end

local remaining = int(math.min(tonumber(m[9]) - now, tonumber(m[10])))
local age, trace = int(math.max(now - tonumber(m[11]), 0)), m[12] or ''
if m[6] == token and token ~= '' then
  -- This very take is repeated because its reply was lost: reply again, write nothing.
  local reason = redis.call('HGET', META, 'last_reason')
  return { 'OK', m[2], m[3], m[4], remaining, age, reason, m[8], trace, redis.call('GET', REQUEST) }
end
if is_leased(tonumber(m[5]), now, lease_ms) then return { 'HELD' } end

local reason = 'started'
if attempt > 0 then
  reason = m[7] or 'worker_lost'
  if m[8] == 'fail' then return { 'INTERRUPTED', reason } end
end
-- A hand-over does not count: four deploys in a row must not use up the attempts.
if reason ~= 'worker_shutdown' then counted = counted + 1 end
if counted > max_attempts then return { 'EXHAUSTED', reason } end
epoch = next_epoch(epoch, now, random)
begin(epoch, attempt + 1, counted, reason)
return { 'OK', int(epoch), int(attempt + 1), int(counted), remaining, age, reason, m[8], trace, redis.call('GET', REQUEST) }
