-- turn: whether it is the caller's turn to look for overdue generations. Whoever asks first in a
-- period is told so and the others are not: the cost of looking must not grow with the fleet.
local SWEPT = KEYS[1]
local period_ms = tonumber(ARGV[1])
-- Further away than one period: set by a server whose clock was ahead.
local left = redis.call('PTTL', SWEPT)
if left >= 0 and left <= period_ms then return 0 end
redis.call('SET', SWEPT, '1', 'PX', ARGV[1])
return 1
