-- append: the fence every event passes. Checks state, epoch and contiguity before it writes; an
-- event already in is left alone, so a batch may be sent again after a lost reply.
--
-- One call carries the batches of many generations, because most of what a call costs is the call.
-- Each batch is judged by itself and answered by itself, in order. KEYS are META and LOG of each;
-- a terminal comes alone, with all five keys, because closing touches them.
-- ARGV: lease, terminal, then of each batch: epoch, first seq, totals, number of events, events.
local lease_ms, terminal = tonumber(ARGV[1]), ARGV[2]
local now = now_ms()
-- Once for all batches, as text: making text of a number costs as much as a small command.
local lease = int(now + lease_ms)

local function append(META, LOG, at)
  local epoch_text, first_text, chars, tokens = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local epoch, first = tonumber(epoch_text), tonumber(first_text)
  local last = first + tonumber(ARGV[at + 4]) - 1

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

  local text
  for s = seq + 1, last do
    local event = at + 5 + (s - first) * 2
    text = s == first and first_text or int(s)
    redis.call('XADD', LOG, epoch_text .. '-' .. text, 'type', ARGV[event], 'data', ARGV[event + 1])
  end
  if terminal ~= '' then
    redis.call('HSET', META, 'seq', text, 'chars', chars, 'tokens', tokens)
    close(ARGV[#ARGV], terminal, epoch_text .. '-' .. text, tonumber(m[5]), now)
  elseif m[4] == '0' then
    redis.call('HSET', META, 'seq', text, 'chars', chars, 'tokens', tokens, 'lease', lease)
  else
    redis.call('HSET', META, 'seq', text, 'chars', chars, 'tokens', tokens)
  end
  return { 'OK', text }
end

if terminal ~= '' then return { append(META, LOG, 3) } end
local replies, at = {}, 3
for key = 1, #KEYS, 2 do
  replies[#replies + 1] = append(KEYS[key], KEYS[key + 1], at)
  at = at + 5 + 2 * tonumber(ARGV[at + 4])
end
return replies
