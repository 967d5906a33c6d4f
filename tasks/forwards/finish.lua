-- Record what became of a try: delivered, to be tried again, or given up and kept to be looked at.
-- KEYS  the entry, the customer's line, the target's due lines, what is known of the target, its parked events, its
--       events on their way
-- ARGV  fencing token, 'delivered', 'later' or 'parked', delay (ms), why as JSON, how the target is by that: 'unwell',
--       'well' or '' if that is not known, least and most of its rest (ms), life of a parked one (s), line, lease (ms),
--       how many lines are made due at most
-- → 1 recorded, 0 the claim is another one's by now
local call = redis.call
if call('HGET', KEYS[1], 'tries') ~= ARGV[1] then
  return 0
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function is_well()
  if tonumber(call('HGET', KEYS[4], 'failures') or 0) > 0 then -- it was not: what failed since is due
    local leased = string.format('(%d', now + ARGV[10]) -- until then at most
    for _, line in ipairs(call('ZRANGEBYSCORE', KEYS[3], leased, '+inf', 'LIMIT', 0, ARGV[11])) do
      call('ZADD', KEYS[3], now, line)
    end
  end
  call('HDEL', KEYS[4], 'failures', 'rests_until', 'probed_until', 'why')
end
if ARGV[2] == 'delivered' then
  call('DEL', KEYS[1])
  call('HINCRBY', KEYS[4], 'delivered', 1)
  call('HSET', KEYS[4], 'delivered_at', now)
  is_well()
else
  call('HSET', KEYS[1], 'why', ARGV[4], 'tried_at', now)
  if ARGV[5] == 'unwell' then
    if tonumber(call('HGET', KEYS[4], 'rests_until') or 0) <= now then -- else it failed beside another one
      local failures = call('HINCRBY', KEYS[4], 'failures', 1)
      local rest = math.min(ARGV[6] * 2 ^ (failures - 1), math.max(ARGV[6], ARGV[7])) -- twice as long each time
      call('HSET', KEYS[4], 'rests_until', now + math.floor(rest))
    end
    call('HSET', KEYS[4], 'why', ARGV[4])
    call('HDEL', KEYS[4], 'probed_until')
  elseif ARGV[5] == 'well' then -- it has answered: it is the event that it does not take
    is_well()
  end
end
if ARGV[2] == 'later' then
  call('ZADD', KEYS[3], now + ARGV[3], ARGV[9])
  call('HSET', KEYS[1], 'next_at', now + ARGV[3])
  return 1
end
call('LREM', KEYS[2], 1, KEYS[1])
call('ZREM', KEYS[6], KEYS[1])
if ARGV[2] == 'parked' then
  call('HSET', KEYS[1], 'parked_at', now)
  call('ZADD', KEYS[5], time[1] * 1000 + time[2] / 1000, KEYS[1]) -- exactly: by it they are retried in their order
  call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now - ARGV[8] * 1000) -- past their lives
  call('EXPIRE', KEYS[5], ARGV[8])
  call('EXPIRE', KEYS[1], ARGV[8])
end
if call('LLEN', KEYS[2]) > 0 then
  call('ZADD', KEYS[3], now, ARGV[9])
else
  call('ZREM', KEYS[3], ARGV[9])
end
return 1
