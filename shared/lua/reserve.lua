-- reserve (queue plane): reserve one of the tenant's generations, and the memory it will take, before it is created.
-- Both are held for a short time; `enqueue` prolongs them, `leave` gives them back. Replies with NEW, HELD if this
-- generation has a reservation already, FULL, BACKLOG, or STORED if the tenant's bytes would be too many.
local RESERVED, HOLDER, QUEUE, STORED, BYTES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, tenant, max_active, max_waiting = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local size, max_stored = tonumber(ARGV[5]), tonumber(ARGV[6])
local hold_ms, lasts_ms, retention_ms = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
local holder_ms, stored_ms = ARGV[10], ARGV[11]
-- One call must not hold Redis for long. Each call adds one, so what has expired goes faster than it comes.
local MAX_EXPIRED = 1000

local now = now_ms()
redis.call('ZREMRANGEBYSCORE', RESERVED, '-inf', int(now))
if redis.call('ZSCORE', RESERVED, id) then return 'HELD' end
if redis.call('ZCARD', RESERVED) >= max_active then return 'FULL' end
if redis.call('ZCARD', QUEUE) >= max_waiting then return 'BACKLOG' end

local freed = 0
for _, expired in ipairs(redis.call('ZRANGE', STORED, '-inf', int(now), 'BYSCORE', 'LIMIT', 0, MAX_EXPIRED)) do
  freed = freed + tonumber(redis.call('HGET', BYTES, expired) or 0)
  redis.call('HDEL', BYTES, expired)
  redis.call('ZREM', STORED, expired)
end
local stored = tonumber(redis.call('HGET', BYTES, 'total') or 0) - freed
if freed > 0 then redis.call('HSET', BYTES, 'total', int(stored)) end
-- A generation that was created before has its bytes counted already.
if not redis.call('ZSCORE', STORED, id) then
  if stored + size > max_stored then return 'STORED' end
  redis.call('ZADD', STORED, int(now + hold_ms), id)
  redis.call('HSET', BYTES, id, int(size), 'total', int(stored + size))
  redis.call('PEXPIRE', STORED, stored_ms)
  redis.call('PEXPIRE', BYTES, stored_ms)
end
redis.call('ZADD', RESERVED, int(now + hold_ms), id)
redis.call('PEXPIRE', RESERVED, holder_ms)
redis.call('DEL', HOLDER)
redis.call('HSET', HOLDER, 'tenant', tenant, 'ends', int(now + lasts_ms), 'retention', retention_ms)
redis.call('PEXPIRE', HOLDER, holder_ms)
return 'NEW'
