-- Before every script (scripts.py): helpers that know no key. Every time is Redis TIME in ms, because
-- process clocks may disagree.
local CLOSED = { completed = true, failed = true, cancelled = true }

local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- Lua would write a time as 1.7e+12.
local function int(n)
  return string.format('%.0f', n)
end

-- Milliseconds, because after a failover a counter would repeat numbers that a lost tail has used. The
-- caller's random part keeps two lost takes apart when the promoted server's clock is behind.
local function next_epoch(previous, now, random)
  return math.max(previous, now) + 1 + random
end

-- A lease that ends more than one lease from now came from a server whose clock was ahead: it has expired.
local function is_leased(lease, now, lease_ms)
  return lease > now and lease <= now + lease_ms
end

-- Tell the log's subscribers what was written; the log's key is its channel, so both are in one slot. A message is
-- three or more lines: the cursor before the first event, that event's cursor, then the type and the data of each. A
-- message that would be large is two lines, the cursor before and the last one, and its reader reads the log. pcall,
-- because the events are written: a server that refuses the message must not fail them.
local MAX_MESSAGE_BYTES = 65536
local function publish(log, before, first, lines)
  redis.pcall('SPUBLISH', log, before .. '\n' .. first .. '\n' .. lines)
end
