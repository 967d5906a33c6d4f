-- Store an event and queue a task message, in one atomic step. One that is there already is counted as sent again.
-- KEYS  as they are named below, then the index sets that list the row
-- ARGV  as they are named below, then field, value, ... of the row
-- → 1 stored, 0 already there, -1 forgotten, -2 older than what is remembered: neither new nor known, so a replay
local row, due, events, queue, polling_until, code_owner, forgotten = unpack(KEYS) -- forgotten: left by `forget`
local INDEXES = 8 -- from here on
local id, message = ARGV[1], ARGV[4]
local life = ARGV[2] -- of the row (s)
local most_messages = tonumber(ARGV[3]) -- that wait
local code_life = ARGV[5] -- for which it is known whose the welcome code is (s); 0: there is no code
local pushed_at = ARGV[6] -- when WeCom pushed it at the latest (Unix s)
local remembered = tonumber(ARGV[7]) -- for how long a row is remembered for certain (s)
local age = ARGV[8] -- how long ago it was received (ms); 0: now, by a push of WeCom's
local FIELDS = 9 -- from here on

if redis.call('EXISTS', row, forgotten) > 0 then
  if redis.call('EXISTS', forgotten) == 1 then
    return -1
  end
  if age == '0' then
    redis.call('HINCRBY', row, 'resent', 1)
  end
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if time[1] - pushed_at > remembered then
  return -2
end
local received = now - age
redis.call('HSET', row, 'received_at', received, unpack(ARGV, FIELDS))
redis.call('EXPIRE', row, life)
-- The first event that brings a code owns it. Another one with the same code waits for what becomes of the owner.
if tonumber(code_life) > 0 and not redis.call('SET', code_owner, id, 'NX', 'EX', code_life) then
  local owner = redis.call('GET', code_owner)
  if owner ~= id then -- else its row was erased, and WeCom sent it again
    redis.call('HSET', row, 'code_owner', owner)
  end
end
redis.call('ZADD', due, received, id)
redis.call('ZADD', events, received, id)
for i = INDEXES, #KEYS do
  redis.call('ZADD', KEYS[i], received, id)
  if redis.call('TTL', KEYS[i]) < tonumber(life) then -- a set ends with its youngest row, if nobody trims
    redis.call('EXPIRE', KEYS[i], life)
  end
end
-- A worker that polls comes by itself within milliseconds. A message in the queue is a worker still to come, and every
-- worker takes all that is due, so more than a few messages would find nothing left to do.
if tonumber(redis.call('GET', polling_until) or 0) < now and redis.call('LLEN', queue) < most_messages then
  redis.call('LPUSH', queue, message)
end
return 1
