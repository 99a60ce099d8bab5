-- watched: one API process reports its number of viewers. A count expires when its process stops reporting it. The
-- field carries its own expiry, because a hash has only one for all fields. Replies with OK or GONE.
local process, count, expiry_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

if redis.call('EXISTS', LOG) == 0 then return { 'GONE' } end
if count == 0 then
  redis.call('HDEL', VIEWERS, process)
else
  redis.call('HSET', VIEWERS, process, int(count) .. ':' .. int(now_ms() + expiry_ms))
  redis.call('PEXPIRE', VIEWERS, expiry_ms)
end
return { 'OK' }
