-- viewers: the number of viewers on all other API processes that are alive. Drops the counts of dead ones.
local process = ARGV[2]

local now, viewers = now_ms(), 0
local fields = redis.call('HGETALL', VIEWERS)
for i = 1, #fields, 2 do
  local count, expiry = string.match(fields[i + 1], '^(%d+):(%d+)$')
  if tonumber(expiry) <= now then
    redis.call('HDEL', VIEWERS, fields[i])
  elseif fields[i] ~= process then
    viewers = viewers + tonumber(count)
  end
end
return viewers
