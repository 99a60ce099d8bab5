-- watched: one API process reports its number of viewers of each of these generations. A count expires when its process
-- stops repeating it. The field carries its own expiry, because a hash has only one for all fields.
-- KEYS are the log and the viewers of each generation. ARGV: process, expiry, then the count of each.
local process, expiry_ms = ARGV[1], tonumber(ARGV[2])
local expiry = int(now_ms() + expiry_ms)

for i = 1, #KEYS / 2 do
  local log, viewers, count = KEYS[2 * i - 1], KEYS[2 * i], ARGV[2 + i]
  if count == '0' then
    redis.call('HDEL', viewers, process)
  elseif redis.call('EXISTS', log) == 1 then
    redis.call('HSET', viewers, process, count .. ':' .. expiry)
    redis.call('PEXPIRE', viewers, expiry_ms)
  end
end
return { 'OK' }
