-- Put an event into the line of its customer at each target, and take it from what is to be forwarded. Once.
-- KEYS  what is to be forwarded, the event's row ('' for a change); then for each target: the entry, the customer's line,
--       the target's due lines, its events on their way, its parked events
-- ARGV  what it is there, how long an entry lives (s), customer's line, then for each target: app, target, change, body
-- → 1 routed, 0 another process has, or the customer was forgotten since the bodies were made: `forget` erases the row, or
--   takes the change from the list, before it looks for entries
local call = redis.call
if call('LREM', KEYS[1], 1, ARGV[1]) == 0 then
  return 0
end
if KEYS[2] ~= '' and call('EXISTS', KEYS[2]) == 0 then
  return 0
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #KEYS, 5 do
  local at = 4 + (i - 3) / 5 * 4
  local entry, line, due, waiting, parked = KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3], KEYS[i + 4]
  if call('ZREM', parked, entry) == 1 then
    call('DEL', entry) -- forwarded once more
  end
  if call('EXISTS', entry) == 0 then
    call('HSET', entry, 'app', ARGV[at], 'target', ARGV[at + 1], 'change', ARGV[at + 2], 'body', ARGV[at + 3],
      'line', ARGV[3], 'at', now, 'tries', 0)
    call('RPUSH', line, entry)
    call('ZADD', due, 'NX', now, ARGV[3])
    call('ZADD', waiting, now, entry)
    for _, name in ipairs({entry, line, due, waiting}) do -- the latter where nobody forwards to it any more
      call('EXPIRE', name, ARGV[2])
    end
  end
end
return 1
