-- Store an event and wake a worker, in one atomic step. One that is there already is counted as sent again.
-- KEYS  row, due, events, queue, polling_until, owner of the welcome code, what `forget` leaves of a row,
--       then the index sets that list it
-- ARGV  id, row's life (s), limit of waiting messages, the message, life of the code's owner (s; 0: no code),
--       when WeCom pushed it at the latest (Unix s), how long a row is remembered for certain (s),
--       how long ago it was received (ms; 0: now), then field, value, ...
-- → 1 stored, 0 already there, -1 forgotten, -2 older than what is remembered: neither new nor known, so a replay
if redis.call('EXISTS', KEYS[1], KEYS[7]) > 0 then
  if redis.call('EXISTS', KEYS[7]) == 1 then
    return -1
  end
  if ARGV[8] == '0' then
    redis.call('HINCRBY', KEYS[1], 'resent', 1)
  end
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if time[1] - ARGV[6] > tonumber(ARGV[7]) then
  return -2
end
local received = now - ARGV[8]
redis.call('HSET', KEYS[1], 'received_at', received, unpack(ARGV, 9))
redis.call('EXPIRE', KEYS[1], ARGV[2])
-- The first event that brings a code owns it. Another one with the same code waits for what becomes of the owner.
if tonumber(ARGV[5]) > 0 and not redis.call('SET', KEYS[6], ARGV[1], 'NX', 'EX', ARGV[5]) then
  local owner = redis.call('GET', KEYS[6])
  if owner ~= ARGV[1] then -- else its row was erased, and WeCom sent it again
    redis.call('HSET', KEYS[1], 'code_owner', owner)
  end
end
redis.call('ZADD', KEYS[2], received, ARGV[1])
redis.call('ZADD', KEYS[3], received, ARGV[1])
for i = 8, #KEYS do
  redis.call('ZADD', KEYS[i], received, ARGV[1])
  if redis.call('TTL', KEYS[i]) < tonumber(ARGV[2]) then -- a set ends with its youngest row, if nobody trims
    redis.call('EXPIRE', KEYS[i], ARGV[2])
  end
end
-- A worker that is attending comes by itself within milliseconds. A message in the queue is a worker still to come,
-- and every worker takes all that is due, so more than a few messages would find nothing left to do.
if tonumber(redis.call('GET', KEYS[5]) or 0) < now and redis.call('LLEN', KEYS[4]) < tonumber(ARGV[3]) then
  redis.call('LPUSH', KEYS[4], ARGV[4])
end
return 1
