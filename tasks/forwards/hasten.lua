-- Let a target's events that failed be tried now, though their waits are not over.
-- KEYS  the target's due lines, what is known of the target
-- ARGV  lease (ms), and the line, or '' for all
-- → how many lines are due by that; one whose time comes within a lease may be under it, and is left alone
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lines = call('ZRANGEBYSCORE', KEYS[1], string.format('(%d', now + ARGV[1]), '+inf')
local hastened = 0
for _, line in ipairs(lines) do
  if ARGV[2] == '' or ARGV[2] == line then
    call('ZADD', KEYS[1], now, line)
    hastened = hastened + 1
  end
end
if hastened > 0 then
  call('HDEL', KEYS[2], 'rests_until')
end
return hastened
