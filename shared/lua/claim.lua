-- claim (queue plane): take up to `limit` due jobs out of arq's queue. From here on the lease in
-- the log keeps the generation alive; a running job is in nobody's poll.
local QUEUE, ACTIVE = KEYS[1], KEYS[2]
local limit = ARGV[1]

local t = redis.call('TIME')
local now = string.format('%.0f', tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000))
-- Here too, so that a scaler sees the truth also while nothing new comes.
redis.call('ZREMRANGEBYSCORE', ACTIVE, '-inf', now)
local due = redis.call('ZRANGE', QUEUE, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
local claimed = {}
for i, job in ipairs(due) do
  claimed[i] = { job, tonumber(now) - tonumber(redis.call('ZSCORE', QUEUE, job)) }
end
if #due > 0 then redis.call('ZREM', QUEUE, unpack(due)) end
return claimed
