-- Queue a message if somebody is due and was not taken, or if no message has gone through for a while (the canary).
-- KEYS  due, queue, consumed
-- ARGV  grace (ms) before an event counts as left behind, canary (ms), limit of waiting messages, the message
-- → events that are left behind
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local behind = redis.call('ZCOUNT', KEYS[1], '-inf', now - ARGV[1])
local waiting = redis.call('LLEN', KEYS[2])
local silent = now - tonumber(redis.call('GET', KEYS[3]) or 0) > tonumber(ARGV[2])
if (behind > 0 and waiting < tonumber(ARGV[3])) or (silent and waiting == 0) then
  redis.call('LPUSH', KEYS[2], ARGV[4])
end
return behind
