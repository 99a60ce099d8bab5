-- may_sweep: 1 for the first caller within a period, 0 for the others, because the cost of sweeping must not grow with
-- the number of processes.
local SWEPT = KEYS[1]
local period_ms = tonumber(ARGV[1])
-- An expiry more than one period from now came from a server whose clock was ahead.
local left = redis.call('PTTL', SWEPT)
if left >= 0 and left <= period_ms then return 0 end
redis.call('SET', SWEPT, '1', 'PX', ARGV[1])
return 1
