-- Record what became of a try: delivered, to be tried again, or given up and kept to be looked at.
-- KEYS, ARGV  as they are named below
-- → 1 recorded, 0 the claim is another one's by now
local call = redis.call
local entry, line, due, target, parked, waiting = unpack(KEYS) -- line: of the customer; the others, of the target
local fencing_token, became = ARGV[1], ARGV[2] -- became: 'delivered', 'later' or 'parked'
local delay, why = ARGV[3], ARGV[4] -- ms; JSON
local health = ARGV[5] -- of the target by that: 'unwell', 'well', or '' if that is not known
local least_rest, most_rest = tonumber(ARGV[6]), tonumber(ARGV[7]) -- ms
local life, lease = ARGV[8], ARGV[10] -- of a parked one (s); of a claim (ms)
local line_name, most_lines = ARGV[9], ARGV[11] -- as it is called in `due`; how many are made due at most

if call('HGET', entry, 'tries') ~= fencing_token then
  return 0
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function is_well()
  if tonumber(call('HGET', target, 'failures') or 0) > 0 then -- it was not: what failed since is due
    local leased = string.format('(%d', now + lease) -- until then at most
    for _, other in ipairs(call('ZRANGEBYSCORE', due, leased, '+inf', 'LIMIT', 0, most_lines)) do
      call('ZADD', due, now, other)
    end
  end
  call('HDEL', target, 'failures', 'rests_until', 'probed_until', 'why')
end
if became == 'delivered' then
  call('DEL', entry)
  call('HINCRBY', target, 'delivered', 1)
  call('HSET', target, 'delivered_at', now)
  is_well()
else
  call('HSET', entry, 'why', why, 'tried_at', now)
  if health == 'unwell' then
    if tonumber(call('HGET', target, 'rests_until') or 0) <= now then -- else it failed beside another one
      local failures = call('HINCRBY', target, 'failures', 1)
      local rest = math.min(least_rest * 2 ^ (failures - 1), math.max(least_rest, most_rest)) -- twice as long each time
      call('HSET', target, 'rests_until', now + math.floor(rest))
    end
    call('HSET', target, 'why', why)
    call('HDEL', target, 'probed_until')
  elseif health == 'well' then -- it has answered: it is the event that it does not take
    is_well()
  end
end
if became == 'later' then
  call('ZADD', due, now + delay, line_name)
  call('HSET', entry, 'next_at', now + delay)
  return 1
end
call('LREM', line, 1, entry)
call('ZREM', waiting, entry)
if became == 'parked' then
  call('HSET', entry, 'parked_at', now)
  call('ZADD', parked, time[1] * 1000 + time[2] / 1000, entry) -- exactly: by it they are retried in their order
  call('ZREMRANGEBYSCORE', parked, '-inf', now - life * 1000) -- past their lives
  call('EXPIRE', parked, life)
  call('EXPIRE', entry, life)
end
if call('LLEN', line) > 0 then
  call('ZADD', due, now, line_name)
else
  call('ZREM', due, line_name)
end
return 1
