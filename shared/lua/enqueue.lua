-- enqueue (queue plane): hand one delivery to arq, unless the generation's previous delivery still waits: the sweep
-- must not multiply a backlog. Replies with 1 if it did, else 0.
-- The score is Redis time, because a process whose clock is an hour ahead would hide the job for an hour.
local QUEUE, WAKE, LATEST, JOB, ACTIVE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local HOLDER, RESERVED, STORED = KEYS[6], KEYS[7], KEYS[8]
local id, delivery, job_head, job_tail, expiry_ms, wake_limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local lasts_ms = tonumber(ARGV[7])

-- The generation exists, so its reservation lasts until its deadline, and its bytes count until its retention ends.
-- Also if it was enqueued before, because the reservation may have been lost since.
local h = redis.call('HMGET', HOLDER, 'ends', 'retention', 'left')
if h[1] and not h[3] then
  redis.call('ZADD', RESERVED, h[1], id)
  redis.call('PEXPIRE', RESERVED, expiry_ms)
  redis.call('ZADD', STORED, 'XX', 'GT', int(tonumber(h[1]) + tonumber(h[2])), id)
end

local latest = redis.call('GET', LATEST)
if latest and redis.call('ZSCORE', QUEUE, id .. ':' .. latest) then return 0 end
if latest and tonumber(latest) >= tonumber(delivery) then return 0 end
local now = now_ms()
redis.call('SET', LATEST, delivery, 'PX', expiry_ms)
redis.call('SET', JOB, job_head .. int(now) .. job_tail, 'PX', expiry_ms)
redis.call('ZADD', QUEUE, int(now), id .. ':' .. delivery)
-- If the `leave` of a generation was lost, it must not stay counted for ever. NX, because a later delivery knows no
-- better end.
redis.call('ZREMRANGEBYSCORE', ACTIVE, '-inf', int(now))
redis.call('ZADD', ACTIVE, 'NX', int(now + lasts_ms), id)
-- One element wakes one worker: the one that has waited longest in BLPOP.
redis.call('RPUSH', WAKE, '1')
redis.call('LTRIM', WAKE, -wake_limit, -1)
return 1
