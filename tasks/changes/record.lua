-- Store a change of a contact until the slow queue has applied it, and queue a message there. Once for each id.
-- KEYS  the change, pending changes, the slow queue, woken, what is to be forwarded
-- ARGV  id, the change as JSON, how long it is remembered (s), when WeCom pushed it (Unix s), limit of waiting
--       messages, the message, pause (ms) between two messages, '1' if the app forwards events or ''
-- → 1 stored, 0 already there, -2 older than what is remembered: a replay
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local time = redis.call('TIME')
if time[1] - ARGV[4] > tonumber(ARGV[3]) then
  return -2
end
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
redis.call('ZADD', KEYS[2], now, ARGV[1])
if ARGV[8] == '1' then redis.call('RPUSH', KEYS[5], 'change:' .. ARGV[2]) end
if redis.call('LLEN', KEYS[3]) < tonumber(ARGV[5]) and redis.call('SET', KEYS[4], now, 'NX', 'PX', ARGV[7]) then
  redis.call('LPUSH', KEYS[3], ARGV[6])
end
return 1
