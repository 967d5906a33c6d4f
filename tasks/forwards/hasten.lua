-- Let a target's events that failed be tried now, though their waits are not over.
-- KEYS  the target's due lines, what is known of the target
-- ARGV  lease (ms), how many lines at most, and the line, or '' for those whose waits end first
-- → how many lines are due by that; one whose time comes within a lease may be under it, and is left alone
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local leased = now + ARGV[1]
local lines = {}
if ARGV[3] == '' then
  lines = call('ZRANGEBYSCORE', KEYS[1], string.format('(%d', leased), '+inf', 'LIMIT', 0, ARGV[2])
elseif tonumber(call('ZSCORE', KEYS[1], ARGV[3]) or 0) > leased then
  lines = { ARGV[3] }
end
for _, line in ipairs(lines) do
  call('ZADD', KEYS[1], now, line)
end
if #lines > 0 then
  call('HDEL', KEYS[2], 'rests_until')
end
return #lines
