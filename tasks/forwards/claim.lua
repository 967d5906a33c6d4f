-- Take the first event of some due lines of a target, each under a lease. While the target is not well, one at a time.
-- KEYS  the target's due lines, what is known of the target, its events on their way
-- ARGV  prefix of the target's lines, how many at most, lease (ms), age from which an event is given up (ms)
-- → per event: its key, '1' if it is too old to be tried or '', its fields as a flat list
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = call('HMGET', KEYS[2], 'failures', 'rests_until', 'probed_until')
local unwell = tonumber(known[1] or 0) > 0
local rests = unwell and math.max(tonumber(known[2] or 0), tonumber(known[3] or 0)) > now
local tried, taken = 0, {}
for _, line in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local name = ARGV[1] .. line
  local entry = call('LINDEX', name, 0)
  while entry and call('EXISTS', entry) == 0 do -- past its life, or forgotten
    call('LPOP', name)
    call('ZREM', KEYS[3], entry)
    entry = call('LINDEX', name, 0)
  end
  if not entry then
    call('ZREM', KEYS[1], line)
  else
    local old = now - tonumber(call('HGET', entry, 'at') or 0) > tonumber(ARGV[4])
    if old or not rests and (not unwell or tried == 0) then
      if not old then tried = tried + 1 end
      call('ZADD', KEYS[1], now + ARGV[3], line)
      call('HINCRBY', entry, 'tries', 1) -- the fencing token too
      taken[#taken + 1] = entry
      taken[#taken + 1] = old and '1' or ''
      taken[#taken + 1] = call('HGETALL', entry)
    end
  end
end
for _, entry in ipairs(call('ZRANGE', KEYS[3], 0, 9)) do -- the oldest, which may have gone with their line
  if call('EXISTS', entry) == 0 then call('ZREM', KEYS[3], entry) end
end
if unwell and tried > 0 then
  call('HSET', KEYS[2], 'probed_until', now + ARGV[3]) -- whoever tries next waits for what becomes of this one
end
return taken
