-- release: hand-over. The lease ends now and appends no longer renew it; the reason waits in meta
-- for the next take. An epoch above meta's is a take a failover has lost: still ours to give up.
local id, epoch, reason = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local m = redis.call('HMGET', META, 'status', 'epoch', 'deliveries')
if not m[1] or m[1] == 'deleted' then return { 'GONE' } end
if CLOSED[m[1]] then return { 'CLOSED' } end
if epoch < tonumber(m[2]) then return { 'FENCED' } end
local delivery = int(tonumber(m[3]) + 1)
redis.call('HSET', META, 'lease', 0, 'owner', '', 'released', 1, 'reason', reason, 'deliveries', delivery)
return { 'OK', delivery }
