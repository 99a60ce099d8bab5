-- Before every script on the log plane, after helpers.lua: the keys of one generation, always these five in this
-- order and all in one slot. Only scripts on several generations (append, renew) are passed other keys.
local META, LOG, DEADLINES, REQUEST, VIEWERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local TOMBSTONE_MS = 86400000
-- A large request whose answer failed before its first piece is kept only for this time: whoever fills Redis with
-- requests that a provider refuses must pay for its answers. Small ones stay, because Responses shows them.
local LARGE_BYTES, FAILED_REQUEST_MS = 65536, 60000

-- Close the log for good: readers have the retention, and the tombstone stays a day longer.
local function close(id, status, terminal, retention_ms, now)
  redis.call('HSET', META, 'status', status, 'terminal', terminal, 'finished', int(now), 'lease', 0, 'owner', '')
  redis.call('PEXPIRE', LOG, retention_ms)
  local request_ms = retention_ms
  if status == 'failed' and redis.call('HGET', META, 'tokens') == '0' and redis.call('STRLEN', REQUEST) > LARGE_BYTES then
    request_ms = math.min(retention_ms, FAILED_REQUEST_MS)
  end
  redis.call('PEXPIRE', REQUEST, request_ms)
  redis.call('PEXPIRE', VIEWERS, retention_ms)
  redis.call('PEXPIRE', META, retention_ms + TOMBSTONE_MS)
  redis.call('ZREM', DEADLINES, id)
end

-- The reply to an owner whose log was closed: after a cancel with the milliseconds since, for the metric of how
-- fast workers stop.
local function closed_reply(meta, status)
  if status ~= 'cancelled' then return { 'CLOSED' } end
  return { 'CLOSED', int(math.max(now_ms() - tonumber(redis.call('HGET', meta, 'finished')), 0)) }
end
