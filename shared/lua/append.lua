-- append: the fence every event passes. Checks state, epoch and contiguity before it writes; an
-- event already in is left alone, so a batch may be sent again after a lost reply.
local id, epoch_text, first = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lease_ms, chars, tokens, terminal = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local epoch, last = tonumber(epoch_text), first + (#ARGV - 7) / 2 - 1

local m = redis.call('HMGET', META, 'status', 'epoch', 'seq', 'released', 'retention')
local status, current, seq = m[1], tonumber(m[2]), tonumber(m[3])
if not status or status == 'deleted' then return { 'GONE' } end
if CLOSED[status] then
  if epoch == current and last <= seq then return { 'DUP', int(seq) } end
  return { 'CLOSED' }
end
if epoch < current then return { 'FENCED' } end
if epoch > current then return { 'BEHIND' } end
if first > seq + 1 then return { 'GAP', int(seq) } end
if last <= seq then return { 'DUP', int(seq) } end

local now = now_ms()
for s = seq + 1, last do
  local at = 8 + (s - first) * 2
  redis.call('XADD', LOG, epoch_text .. '-' .. int(s), 'type', ARGV[at], 'data', ARGV[at + 1])
end
if terminal ~= '' then
  redis.call('HSET', META, 'seq', int(last), 'chars', chars, 'tokens', tokens)
  close(id, terminal, epoch_text .. '-' .. int(last), tonumber(m[5]), now)
elseif m[4] == '0' then
  redis.call('HSET', META, 'seq', int(last), 'chars', chars, 'tokens', tokens, 'lease', int(now + lease_ms))
else
  redis.call('HSET', META, 'seq', int(last), 'chars', chars, 'tokens', tokens)
end
return { 'OK', int(last) }
