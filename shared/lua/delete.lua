-- delete: remove all keys of the generation but leave a tombstone, which no late writer can pass. The tombstone keeps
-- the tenant, because to any other tenant the generation must look unknown, not gone.
local INDEX = KEYS[6]
local id = ARGV[1]

local m = redis.call('HMGET', META, 'status', 'tenant')
if not m[1] or m[1] == 'deleted' then return { 'GONE' } end
redis.call('DEL', META, LOG, REQUEST, VIEWERS)
redis.call('HSET', META, 'status', 'deleted', 'tenant', m[2])
redis.call('PEXPIRE', META, TOMBSTONE_MS)
redis.call('ZREM', DEADLINES, id)
redis.call('ZREM', INDEX, id)
-- One line, and no cursor: there is nothing left to read.
redis.pcall('SPUBLISH', LOG, 'gone')
return { 'OK' }
