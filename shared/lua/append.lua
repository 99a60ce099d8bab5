-- append: the fence every event passes. Checks state, epoch and contiguity before it writes; an
-- event already in is left alone, so a batch may be sent again after a lost reply.
--
-- One call carries the batches of many generations, because most of what a call costs is the call.
-- Each batch is judged by itself and answered by itself, in order. KEYS are META and LOG of each;
-- a terminal comes alone, with all five keys, because closing touches them.
-- ARGV: lease, terminal, then of each batch: epoch, first seq, totals, number of events, events.
local lease_ms, terminal = tonumber(ARGV[1]), ARGV[2]
local now = now_ms()

local function append(META, LOG, at)
  local epoch_text, first, chars, tokens = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  local epoch, last = tonumber(epoch_text), first + tonumber(ARGV[at + 4]) - 1

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

  for s = seq + 1, last do
    local event = at + 5 + (s - first) * 2
    redis.call('XADD', LOG, epoch_text .. '-' .. int(s), 'type', ARGV[event], 'data', ARGV[event + 1])
  end
  if terminal ~= '' then
    redis.call('HSET', META, 'seq', int(last), 'chars', chars, 'tokens', tokens)
    close(ARGV[#ARGV], terminal, epoch_text .. '-' .. int(last), tonumber(m[5]), now)
  elseif m[4] == '0' then
    redis.call('HSET', META, 'seq', int(last), 'chars', chars, 'tokens', tokens, 'lease', int(now + lease_ms))
  else
    redis.call('HSET', META, 'seq', int(last), 'chars', chars, 'tokens', tokens)
  end
  return { 'OK', int(last) }
end

if terminal ~= '' then return { append(META, LOG, 3) } end
local replies, at = {}, 3
for key = 1, #KEYS, 2 do
  replies[#replies + 1] = append(KEYS[key], KEYS[key + 1], at)
  at = at + 5 + 2 * tonumber(ARGV[at + 4])
end
return replies
