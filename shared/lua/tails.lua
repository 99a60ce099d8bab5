-- tails: the numbers (from 1) of those logs among KEYS whose newest event is not the one in ARGV, or that are gone. One
-- call for many logs, because nearly all of them agree: an API process asks about logs of which no message came.
local differ = {}
for i, log in ipairs(KEYS) do
  local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
  if not newest or newest[1] ~= ARGV[i] then differ[#differ + 1] = i end
end
return differ
