-- create: the only script that makes a generation. Replies with NEW or EXISTING (same body), each with the status and
-- the time of creation in ms, CONFLICT (another body), or GONE (deleted, or its retention has passed).
local INDEX = KEYS[6]
local id, body_hash, queued, request = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local random, lease_ms, deadline_ms, retention_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local on_interrupt, prompt_tokens, tenant, model, metadata = ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local horizon_ms, trace = tonumber(ARGV[14]), ARGV[15]

local existing = redis.call('HMGET', META, 'status', 'hash', 'created')
if existing[1] then
  if existing[1] == 'deleted' or (CLOSED[existing[1]] and redis.call('EXISTS', LOG) == 0) then return { 'GONE' } end
  if existing[2] ~= body_hash then return { 'CONFLICT' } end
  return { 'EXISTING', existing[1], existing[3] }
end

local now = now_ms()
local epoch = int(next_epoch(0, now, random))
redis.call('HSET', META, 'status', 'queued', 'epoch', epoch, 'seq', 0, 'attempt', 0, 'counted', 0,
  'lease', 0, 'owner', '', 'released', 0, 'deliveries', 1, 'chars', 0, 'tokens', 0,
  'created', int(now), 'deadline', int(now + deadline_ms), 'deadline_ms', int(deadline_ms), 'retention', int(retention_ms),
  'hash', body_hash, 'on_interrupt', on_interrupt, 'prompt_tokens', prompt_tokens,
  'tenant', tenant, 'model', model, 'metadata', metadata, 'trace', trace)
redis.call('SET', REQUEST, request)
local data = queued .. string.format(',"created_at":%.3f}', now / 1000)
redis.call('XADD', LOG, epoch .. '-0', 'type', 'queued', 'data', data)
publish(LOG, '0-0', epoch .. '-0', 'queued\n' .. data)
redis.call('ZADD', DEADLINES, int(math.min(now + lease_ms, now + deadline_ms)), id)
-- This bounds the index: no generation older than the horizon still has a log.
redis.call('ZREMRANGEBYSCORE', INDEX, '-inf', int(now - horizon_ms))
redis.call('ZADD', INDEX, int(now), id)
redis.call('PEXPIRE', INDEX, int(horizon_ms))
return { 'NEW', 'queued', int(now) }
