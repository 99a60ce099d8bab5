-- viewers: the number of viewers on all other API processes that are alive. Drops counts that nobody repeats.
local PROCESSES = KEYS[6]
local process, alive_ms = ARGV[1], tonumber(ARGV[2])

local now, viewers = now_ms(), 0
local fields = redis.call('HGETALL', VIEWERS)
for i = 1, #fields, 2 do
  local count, expiry = string.match(fields[i + 1], '^(%d+):(%d+)$')
  if tonumber(expiry) <= now then
    redis.call('HDEL', VIEWERS, fields[i])
  elseif fields[i] ~= process then
    -- As a lease: what ends too far ahead came from a server whose clock was ahead.
    local alive_until = tonumber(redis.call('ZSCORE', PROCESSES, fields[i]) or 0)
    if is_leased(alive_until, now, alive_ms) then viewers = viewers + tonumber(count) end
  end
end
return viewers
