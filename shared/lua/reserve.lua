-- reserve (queue plane): reserve one of the tenant's generations before it is created. Replies with NEW, HELD if this
-- generation has a reservation already, FULL, or BACKLOG. A reservation that is never given back expires.
local ACTIVE, HOLDER, QUEUE = KEYS[1], KEYS[2], KEYS[3]
local id, tenant, max_active, max_waiting = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local lasts_ms, expiry_ms = tonumber(ARGV[5]), ARGV[6]

local now = now_ms()
redis.call('ZREMRANGEBYSCORE', ACTIVE, '-inf', int(now))
if redis.call('ZSCORE', ACTIVE, id) then return 'HELD' end
if redis.call('ZCARD', ACTIVE) >= max_active then return 'FULL' end
if redis.call('ZCARD', QUEUE) >= max_waiting then return 'BACKLOG' end
redis.call('ZADD', ACTIVE, int(now + lasts_ms), id)
redis.call('PEXPIRE', ACTIVE, expiry_ms)
redis.call('SET', HOLDER, tenant, 'PX', expiry_ms)
return 'NEW'
