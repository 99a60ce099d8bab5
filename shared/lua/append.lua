-- append: the fence that every event passes. It checks state, epoch and contiguity before it writes. It skips
-- events that are in the log already, so a worker that lost the reply may send the batch again.
--
-- One call carries the batches of many generations, because most of the cost is per call. The script checks each
-- batch separately and replies to each separately, in order. KEYS are META and LOG of each batch. A terminal is
-- alone in its call and has all five keys, because closing touches them.
-- ARGV: lease, terminal, then of each batch: epoch, first seq, totals, number of events, events.
local lease_ms, terminal = tonumber(ARGV[1]), ARGV[2]
local now = now_ms()
-- Once for all batches, because turning a number into text costs as much as a small command.
local lease = int(now + lease_ms)

local function append(meta, log, at)
  local epoch_text, first_text, chars, tokens = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local epoch, first = tonumber(epoch_text), tonumber(first_text)
  local last = first + tonumber(ARGV[at + 4]) - 1

  local m = redis.call('HMGET', meta, 'status', 'epoch', 'seq', 'released', 'retention')
  local status, current, seq = m[1], tonumber(m[2]), tonumber(m[3])
  if not status or status == 'deleted' then return { 'GONE' } end
  if CLOSED[status] then
    if epoch == current and last <= seq then return { 'DUP', int(seq) } end
    return closed_reply(meta, status)
  end
  if epoch < current then return { 'FENCED' } end
  if epoch > current then return { 'BEHIND' } end
  if first > seq + 1 then return { 'GAP', int(seq) } end
  if last <= seq then return { 'DUP', int(seq) } end

  local text, new_text
  local bytes, begin, finish = 0, at + 5 + (seq + 1 - first) * 2, at + 4 + 2 * tonumber(ARGV[at + 4])
  for s = seq + 1, last do
    local event = at + 5 + (s - first) * 2
    text = s == first and first_text or int(s)
    new_text = new_text or text
    bytes = bytes + #ARGV[event + 1]
    redis.call('XADD', log, epoch_text .. '-' .. text, 'type', ARGV[event], 'data', ARGV[event + 1])
  end
  if terminal ~= '' then
    redis.call('HSET', meta, 'seq', text, 'chars', chars, 'tokens', tokens)
    close(ARGV[#ARGV], terminal, epoch_text .. '-' .. text, tonumber(m[5]), now)
  elseif m[4] == '0' then
    redis.call('HSET', meta, 'seq', text, 'chars', chars, 'tokens', tokens, 'lease', lease)
  else
    redis.call('HSET', meta, 'seq', text, 'chars', chars, 'tokens', tokens)
  end
  local before = epoch_text .. '-' .. m[3]
  if bytes > MAX_MESSAGE_BYTES then
    redis.pcall('SPUBLISH', log, before .. '\n' .. epoch_text .. '-' .. text)
  else
    publish(log, before, epoch_text .. '-' .. new_text, table.concat(ARGV, '\n', begin, finish))
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
