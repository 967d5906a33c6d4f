-- Put a parked event at the end of its customer's line, as if it were new.
-- KEYS  the entry, the customer's line, the target's due lines, its events on their way, its parked events
-- ARGV  line, how long an entry lives (s)
-- → 1 it is on its way, 0 it is not parked
local call = redis.call
if call('ZREM', KEYS[5], KEYS[1]) == 0 or call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
call('HSET', KEYS[1], 'at', now, 'tries', 0)
call('HDEL', KEYS[1], 'why', 'tried_at', 'parked_at', 'next_at')
call('RPUSH', KEYS[2], KEYS[1])
call('ZADD', KEYS[3], 'NX', now, ARGV[1])
call('ZADD', KEYS[4], now, KEYS[1])
for i = 1, 4 do
  call('EXPIRE', KEYS[i], ARGV[2])
end
return 1
