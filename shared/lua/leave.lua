-- leave (queue plane): a generation is closed, or was never created. Gives its reservation back, and says until when
-- its bytes are kept, of which those of the log are counted now. May be repeated: a cancel and the worker both say it.
local RESERVED, HOLDER, STORED, BYTES = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, log_bytes, max_kept_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
-- For the worker's `leave` after a cancel, which alone knows the log's bytes.
local LEFT_MS = 60000

redis.call('ZREM', RESERVED, id)
local h = redis.call('HMGET', HOLDER, 'retention', 'logged')
if not h[1] then return 0 end
redis.call('HSET', HOLDER, 'left', 1)
redis.call('PEXPIRE', HOLDER, LEFT_MS)
local kept_ms = math.min(tonumber(h[1]), max_kept_ms or tonumber(h[1]))
if not redis.call('ZSCORE', STORED, id) then return 0 end
-- LT, because a repeated create of a closed generation leaves once more, and its retention began before.
redis.call('ZADD', STORED, 'XX', 'LT', int(now_ms() + kept_ms), id)
if log_bytes > 0 and not h[2] then
  redis.call('HINCRBY', BYTES, id, log_bytes)
  redis.call('HINCRBY', BYTES, 'total', log_bytes)
  redis.call('HSET', HOLDER, 'logged', 1)
end
return 1
