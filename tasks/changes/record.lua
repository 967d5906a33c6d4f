-- Store a change of a contact until the slow queue has applied it, and queue a message there. Once for each id.
-- KEYS, ARGV  as they are named below
-- → 1 stored, 0 already there, -2 older than what is remembered: a replay
local change, pending, slow_queue, woken, forward_new = unpack(KEYS)
local id, told = ARGV[1], ARGV[2] -- told: the change as JSON
local remembered, pushed_at = ARGV[3], ARGV[4] -- for how long (s); when WeCom pushed it (Unix s)
local most_messages, message, pause = tonumber(ARGV[5]), ARGV[6], ARGV[7] -- that wait; ms between two
local forwards = ARGV[8] -- '1' if the app forwards events or ''

if redis.call('EXISTS', change) == 1 then
  return 0
end
local time = redis.call('TIME')
if time[1] - pushed_at > tonumber(remembered) then
  return -2
end
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', change, told, 'EX', remembered)
redis.call('ZADD', pending, now, id)
if forwards == '1' then redis.call('RPUSH', forward_new, 'change:' .. told) end
if redis.call('LLEN', slow_queue) < most_messages and redis.call('SET', woken, now, 'NX', 'PX', pause) then
  redis.call('LPUSH', slow_queue, message)
end
return 1
