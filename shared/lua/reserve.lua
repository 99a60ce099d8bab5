-- reserve (queue plane): one of its tenant's places for a generation that is about to be made. Who
-- asks again for the same has it already. What was never given back expires.
local ACTIVE, HOLDER, QUEUE = KEYS[1], KEYS[2], KEYS[3]
local id, tenant, most, most_waiting = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local lasts_ms, expiry_ms = tonumber(ARGV[5]), ARGV[6]

local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', ACTIVE, '-inf', string.format('%.0f', now))
if redis.call('ZSCORE', ACTIVE, id) then return 'HELD' end
if redis.call('ZCARD', ACTIVE) >= most then return 'FULL' end
if redis.call('ZCARD', QUEUE) >= most_waiting then return 'BACKLOG' end
redis.call('ZADD', ACTIVE, string.format('%.0f', now + lasts_ms), id)
redis.call('PEXPIRE', ACTIVE, expiry_ms)
redis.call('SET', HOLDER, tenant, 'PX', expiry_ms)
return 'NEW'
