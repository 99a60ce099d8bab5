-- release: the owner hands the generation over. Its lease ends now, and appends no longer renew it. The reason waits in
-- meta for the next take. An epoch above meta's means that a failover lost the owner's take; it may still release.
-- Replies with OK and the number of the next delivery, or GONE, CLOSED, FENCED.
local id, epoch, reason = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local m = redis.call('HMGET', META, 'status', 'epoch', 'deliveries')
if not m[1] or m[1] == 'deleted' then return { 'GONE' } end
if CLOSED[m[1]] then return { 'CLOSED' } end
if epoch < tonumber(m[2]) then return { 'FENCED' } end
local delivery = int(tonumber(m[3]) + 1)
redis.call('HSET', META, 'lease', 0, 'owner', '', 'released', 1, 'reason', reason, 'deliveries', delivery)
return { 'OK', delivery }
