-- Queue a task message if a due event was not claimed, or if no message has gone through for a while (the canary).
-- Queue one on the slow queue too, if a follow-up, a tag or a change of a contact is due and none was queued lately.
-- And take a sample of the queue, if the last one is old enough: whoever comes first takes it for all.
-- KEYS  due, queue, consumed, due of follow-ups, the slow queue, woken, samples, events, counters,
--       changes of contacts, customers to be tagged
-- ARGV  grace (ms) before an event counts as left behind, canary (ms), limit of waiting messages, the message,
--       pause (ms) between two messages of follow-ups, their limit on the slow queue, their message,
--       ms between two samples, how many are kept, their life (s), counters of the greeted and of the missed
-- → how many due events were not claimed
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local behind = redis.call('ZCOUNT', KEYS[1], '-inf', now - ARGV[1])
local waiting = redis.call('LLEN', KEYS[2])
local silent = now - tonumber(redis.call('GET', KEYS[3]) or 0) > tonumber(ARGV[2])
if (behind > 0 and waiting < tonumber(ARGV[3])) or (silent and waiting == 0) then
  redis.call('LPUSH', KEYS[2], ARGV[4])
end
local slow = 0
for _, due in ipairs({ KEYS[4], KEYS[10], KEYS[11] }) do slow = slow + redis.call('ZCOUNT', due, '-inf', now) end
if slow > 0
  and redis.call('LLEN', KEYS[5]) < tonumber(ARGV[6]) and redis.call('SET', KEYS[6], now, 'NX', 'PX', ARGV[5]) then
  redis.call('LPUSH', KEYS[5], ARGV[7])
end

-- A sample: ms|waiting|in flight|added since the last one|greeted so far|missed so far. See tasks.monitoring.samples.
local newest = redis.pcall('LINDEX', KEYS[7], 0)
if type(newest) == 'table' then redis.call('DEL', KEYS[7]) end -- no list: it must not stop what is above
local last = tonumber(type(newest) == 'string' and string.match(newest, '^%d+') or 0)
if now - last >= tonumber(ARGV[8]) or last > now then
  local due, unfinished = redis.call('ZCOUNT', KEYS[1], '-inf', now), redis.call('ZCARD', KEYS[1])
  local added = redis.call('ZCOUNT', KEYS[8], '(' .. math.max(last, now - 3 * ARGV[8]), now)
  local so_far = redis.call('HMGET', KEYS[9], ARGV[11], ARGV[12])
  local sample = { now, due, unfinished - due, added, so_far[1] or 0, so_far[2] or 0 }
  redis.call('LPUSH', KEYS[7], table.concat(sample, '|'))
  redis.call('LTRIM', KEYS[7], 0, ARGV[9] - 1)
  redis.call('EXPIRE', KEYS[7], ARGV[10])
end
return behind
