-- finish: end a generation on behalf of somebody other than its owner (cancel, deadline, attempts used up). A new epoch
-- fences the owner. `cut` is the last event that counts; the totals are those in meta.
-- Replies with OK or ALREADY, each with the status the generation ended with, or GONE.
local id, random, status, head = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]

local m = redis.call('HMGET', META, 'status', 'epoch', 'seq', 'attempt', 'chars', 'tokens', 'prompt_tokens', 'retention')
if not m[1] or m[1] == 'deleted' then return { 'GONE' } end
if CLOSED[m[1]] then return { 'ALREADY', m[1] } end
local now = now_ms()
local epoch = int(next_epoch(tonumber(m[2]), now, random))
local events = 1
if tonumber(m[4]) > 0 then events = tonumber(m[3]) + 2 end
local prompt, output = tonumber(m[7]), tonumber(m[6])
local data = string.format('%s"usage":{"prompt_tokens":%s,"completion_tokens":%s,"total_tokens":%s,"estimated":true},"chars":%s,"events":%s,"cut":"%s-%s"}',
  head, int(prompt), int(output), int(prompt + output), m[5], int(events), m[2], m[3])
redis.call('XADD', LOG, epoch .. '-0', 'type', status, 'data', data)
redis.call('HSET', META, 'epoch', epoch, 'seq', 0)
publish(LOG, m[2] .. '-' .. m[3], epoch .. '-0', status .. '\n' .. data)
close(id, status, epoch .. '-0', tonumber(m[8]), now)
return { 'OK', status }
