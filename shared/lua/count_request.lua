-- count_request (queue plane): one request more within this minute, which begins with its first.
-- Answers how many there were, and in how many ms the minute ends.
local COUNT = KEYS[1]

local count = redis.call('INCR', COUNT)
local left_ms = redis.call('PTTL', COUNT)
if left_ms < 0 then
  redis.call('PEXPIRE', COUNT, 60000)
  left_ms = 60000
end
return { count, left_ms }
