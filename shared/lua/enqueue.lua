-- enqueue (queue plane): hand one delivery to arq, unless the generation's previous delivery still waits: the sweep
-- must not multiply a backlog. Replies with 1 if it did, else 0.
-- The score is Redis time, because a process whose clock is an hour ahead would hide the job for an hour.
local QUEUE, WAKE, LATEST, JOB, ACTIVE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, delivery, job_head, job_tail, expiry_ms, wake_limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local lasts_ms = tonumber(ARGV[7])

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
