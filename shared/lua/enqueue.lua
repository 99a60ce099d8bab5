-- enqueue (queue plane): hand one delivery to arq, unless the former delivery of the same
-- generation still waits: a backlog must not be multiplied by the sweep.
-- The score is Redis time: a process clock an hour ahead would hide the job for an hour.
local QUEUE, WAKE, LATEST, JOB, ACTIVE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, delivery, job_head, job_tail, expiry_ms, wake_limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local lasts_ms = tonumber(ARGV[7])

local latest = redis.call('GET', LATEST)
if latest and redis.call('ZSCORE', QUEUE, id .. ':' .. latest) then return 0 end
if latest and tonumber(latest) >= tonumber(delivery) then return 0 end
local t = redis.call('TIME')
local now_ms = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local now = string.format('%.0f', now_ms)
redis.call('SET', LATEST, delivery, 'PX', expiry_ms)
redis.call('SET', JOB, job_head .. now .. job_tail, 'PX', expiry_ms)
redis.call('ZADD', QUEUE, now, id .. ':' .. delivery)
-- What its leaving was lost of must not be counted for ever. NX: a later delivery knows no better end.
redis.call('ZREMRANGEBYSCORE', ACTIVE, '-inf', now)
redis.call('ZADD', ACTIVE, 'NX', string.format('%.0f', now_ms + lasts_ms), id)
-- One job wakes one worker, the one that has waited longest in BLPOP.
redis.call('RPUSH', WAKE, '1')
redis.call('LTRIM', WAKE, -wake_limit, -1)
return 1
