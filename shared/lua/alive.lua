-- alive: one API process lives, so its counts are believed. KEYS are the processes of each partition in which it has
-- viewers. ARGV: process, expiry.
local process, expiry_ms = ARGV[1], tonumber(ARGV[2])
local now = now_ms()
local expiry = int(now + expiry_ms)

for _, processes in ipairs(KEYS) do
  redis.call('ZADD', processes, expiry, process)
  redis.call('ZREMRANGEBYSCORE', processes, '-inf', int(now))
  redis.call('PEXPIRE', processes, expiry_ms)
end
return { 'OK' }
