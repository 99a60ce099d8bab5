-- watched: one API process says how many viewers it has. A count is forgotten by itself when its
-- process says it no more; the field carries its own expiry, because a hash has only one.
local process, count, expiry_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

if redis.call('EXISTS', LOG) == 0 then return { 'GONE' } end
if count == 0 then
  redis.call('HDEL', VIEWERS, process)
else
  redis.call('HSET', VIEWERS, process, int(count) .. ':' .. int(now_ms() + expiry_ms))
  redis.call('PEXPIRE', VIEWERS, expiry_ms)
end
return { 'OK' }
