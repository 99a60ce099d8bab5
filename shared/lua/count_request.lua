-- count_request (queue plane): count one more request. The minute begins with its first request.
-- Replies with { requests in this minute, milliseconds until it ends }.
local COUNT = KEYS[1]

local count = redis.call('INCR', COUNT)
local left_ms = redis.call('PTTL', COUNT)
if left_ms < 0 then
  redis.call('PEXPIRE', COUNT, 60000)
  left_ms = 60000
end
return { count, left_ms }
