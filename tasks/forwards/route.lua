-- Put an event into the line of its customer at each target, and take it from what is to be forwarded. Once.
-- KEYS  what is to be forwarded; then for each target: the entry, the customer's line, the target's due lines
-- ARGV  what it is there, how long an entry lives (s), customer's line, then for each target: app, target, change, body
-- → 1 routed, 0 another process has
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 2, #KEYS, 3 do
  local at = 4 + (i - 2) / 3 * 4
  local entry, line, due = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  if redis.call('EXISTS', entry) == 0 then
    redis.call('HSET', entry, 'app', ARGV[at], 'target', ARGV[at + 1], 'change', ARGV[at + 2], 'body', ARGV[at + 3],
      'line', ARGV[3], 'at', now, 'tries', 0)
    redis.call('EXPIRE', entry, ARGV[2])
    redis.call('RPUSH', line, entry)
    redis.call('EXPIRE', line, ARGV[2])
    redis.call('ZADD', due, 'NX', now, ARGV[3])
    redis.call('EXPIRE', due, ARGV[2]) -- where nobody forwards to it any more
  end
end
return 1
