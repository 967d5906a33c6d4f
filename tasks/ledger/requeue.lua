-- Queue a task message if a due event was not claimed, or if no message has gone through for a while (the canary).
-- Queue one on the slow queue too, if a follow-up is due and none was queued lately.
-- KEYS  due, queue, consumed, due of follow-ups, the slow queue, woken
-- ARGV  grace (ms) before an event counts as left behind, canary (ms), limit of waiting messages, the message,
--       pause (ms) between two messages of follow-ups, their limit on the slow queue, their message
-- → how many due events were not claimed
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local behind = redis.call('ZCOUNT', KEYS[1], '-inf', now - ARGV[1])
local waiting = redis.call('LLEN', KEYS[2])
local silent = now - tonumber(redis.call('GET', KEYS[3]) or 0) > tonumber(ARGV[2])
if (behind > 0 and waiting < tonumber(ARGV[3])) or (silent and waiting == 0) then
  redis.call('LPUSH', KEYS[2], ARGV[4])
end
if redis.call('ZCOUNT', KEYS[4], '-inf', now) > 0 and redis.call('LLEN', KEYS[5]) < tonumber(ARGV[6])
  and redis.call('SET', KEYS[6], now, 'NX', 'PX', ARGV[5]) then
  redis.call('LPUSH', KEYS[5], ARGV[7])
end
return behind
