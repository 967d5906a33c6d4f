-- Queue a task message if a due event was not claimed, or if no message has gone through for a while (the canary).
-- Queue one on the slow queue too, if a follow-up, a tag or a change of a contact is due and none was queued lately.
-- And take a sample of the queue, if the last one is old enough: whoever comes first takes it for all.
-- KEYS, ARGV  as they are named below
-- → how many due events were not claimed
local due, queue, consumed, followup_due, slow_queue, woken, samples, events, counters, changes, tagging = unpack(KEYS)
local grace = ARGV[1] -- before an event counts as left behind (ms)
local canary = tonumber(ARGV[2]) -- ms
local most_messages, message = tonumber(ARGV[3]), ARGV[4] -- that wait
local slow_pause, most_slow, slow_message = ARGV[5], tonumber(ARGV[6]), ARGV[7] -- between two of them (ms)
local every, kept, life = tonumber(ARGV[8]), ARGV[9], ARGV[10] -- of samples: ms between two, how many, their life (s)
local greeted, missed = ARGV[11], ARGV[12] -- fields of the counters

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local behind = redis.call('ZCOUNT', due, '-inf', now - grace)
local waiting = redis.call('LLEN', queue)
local silent = now - tonumber(redis.call('GET', consumed) or 0) > canary
if (behind > 0 and waiting < most_messages) or (silent and waiting == 0) then
  redis.call('LPUSH', queue, message)
end
local slow = 0
for _, set in ipairs({ followup_due, changes, tagging }) do slow = slow + redis.call('ZCOUNT', set, '-inf', now) end
if slow > 0
  and redis.call('LLEN', slow_queue) < most_slow and redis.call('SET', woken, now, 'NX', 'PX', slow_pause) then
  redis.call('LPUSH', slow_queue, slow_message)
end

-- A sample: ms|waiting|in flight|added since the last one|greeted so far|missed so far. See tasks.ledger.samples.
local newest = redis.pcall('LINDEX', samples, 0)
if type(newest) == 'table' then redis.call('DEL', samples) end -- no list: it must not stop what is above
local last = tonumber(type(newest) == 'string' and string.match(newest, '^%d+') or 0)
if now - last >= every or last > now then
  local ready, unfinished = redis.call('ZCOUNT', due, '-inf', now), redis.call('ZCARD', due)
  local added = redis.call('ZCOUNT', events, '(' .. math.max(last, now - 3 * every), now)
  local so_far = redis.call('HMGET', counters, greeted, missed)
  local sample = { now, ready, unfinished - ready, added, so_far[1] or 0, so_far[2] or 0 }
  redis.call('LPUSH', samples, table.concat(sample, '|'))
  redis.call('LTRIM', samples, 0, kept - 1)
  redis.call('EXPIRE', samples, life)
end
return behind
