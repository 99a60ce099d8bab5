-- Put before every script of the log plane (scripts.py). KEYS are always these five, in this order,
-- all in one slot; only an append of several generations has others. Times are Redis TIME in ms: no process clock is ever compared with another.
local META, LOG, DEADLINES, REQUEST, VIEWERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local TOMBSTONE_MS = 86400000
local CLOSED = { completed = true, failed = true, cancelled = true }

local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function int(n)
  return string.format('%.0f', n)
end

-- Milliseconds of the server that knows the truth, made unique by a random part from the caller:
-- after a failover a counter would count again over numbers already used by a lost tail.
local function next_epoch(previous, now, random)
  return math.max(previous, now) + 1 + random
end

-- A lease further away than one lease was written by a server whose clock was ahead: expired.
local function is_leased(lease, now, lease_ms)
  return lease > now and lease <= now + lease_ms
end

-- The log is closed for good: readable for the retention, a tombstone for a day after that.
local function close(id, status, terminal, retention_ms, now)
  redis.call('HSET', META, 'status', status, 'terminal', terminal, 'finished', int(now), 'lease', 0, 'owner', '')
  redis.call('PEXPIRE', LOG, retention_ms)
  redis.call('PEXPIRE', REQUEST, retention_ms)
  redis.call('PEXPIRE', VIEWERS, retention_ms)
  redis.call('PEXPIRE', META, retention_ms + TOMBSTONE_MS)
  redis.call('ZREM', DEADLINES, id)
end
