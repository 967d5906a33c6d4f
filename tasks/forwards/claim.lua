-- Take the first event of some due lines of a target, each under a lease. While the target is not well, one at a time.
-- KEYS, ARGV  as they are named below
-- → per event: its key, '1' if it is too old to be tried or '', its fields as a flat list
local call = redis.call
local due, target, waiting = unpack(KEYS) -- lines that are due; what is known of the target; its events on their way
local lines, most = ARGV[1], ARGV[2] -- prefix of the lines' keys; how many are taken at most
local lease, too_old = ARGV[3], tonumber(ARGV[4]) -- ms; the age from which an event is given up
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = call('HMGET', target, 'failures', 'rests_until', 'probed_until')
local unwell = tonumber(known[1] or 0) > 0
local rests = unwell and math.max(tonumber(known[2] or 0), tonumber(known[3] or 0)) > now
local tried, taken = 0, {}
for _, line in ipairs(call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, most)) do
  local name = lines .. line
  local entry = call('LINDEX', name, 0)
  while entry and call('EXISTS', entry) == 0 do -- past its life, or forgotten
    call('LPOP', name)
    call('ZREM', waiting, entry)
    entry = call('LINDEX', name, 0)
  end
  if not entry then
    call('ZREM', due, line)
  else
    local old = now - tonumber(call('HGET', entry, 'at') or 0) > too_old
    if old or not rests and (not unwell or tried == 0) then
      if not old then tried = tried + 1 end
      call('ZADD', due, now + lease, line)
      call('HINCRBY', entry, 'tries', 1) -- the fencing token too
      taken[#taken + 1] = entry
      taken[#taken + 1] = old and '1' or ''
      taken[#taken + 1] = call('HGETALL', entry)
    end
  end
end
for _, entry in ipairs(call('ZRANGE', waiting, 0, 9)) do -- the oldest, which may have gone with their line
  if call('EXISTS', entry) == 0 then call('ZREM', waiting, entry) end
end
if unwell and tried > 0 then
  call('HSET', target, 'probed_until', now + lease) -- whoever tries next waits for what becomes of this one
end
return taken
