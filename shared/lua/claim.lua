-- claim (queue plane): take up to `limit` due jobs out of arq's queue. From here on the lease in the log keeps the
-- generation alive, and no worker polls for the job.
-- Replies with an array of { job id, milliseconds waited }.
local QUEUE, ACTIVE = KEYS[1], KEYS[2]
local limit = ARGV[1]

local now = now_ms()
-- `enqueue` does this too, but an autoscaler must also see the truth while no job arrives.
redis.call('ZREMRANGEBYSCORE', ACTIVE, '-inf', int(now))
local due = redis.call('ZRANGE', QUEUE, '-inf', int(now), 'BYSCORE', 'LIMIT', 0, limit)
local claimed = {}
for i, job in ipairs(due) do
  claimed[i] = { job, now - tonumber(redis.call('ZSCORE', QUEUE, job)) }
end
if #due > 0 then redis.call('ZREM', QUEUE, unpack(due)) end
return claimed
