-- since_cancel: milliseconds since this generation was cancelled; nothing if it ended in another way.
local m = redis.call('HMGET', META, 'status', 'finished')
if m[1] ~= 'cancelled' then return false end
return int(math.max(now_ms() - tonumber(m[2]), 0))
