-- Take what is due, oldest first, each under a lease: due again when the lease ends. A claim begins a try.
-- Nothing, while the queue is paused; the queue is consumed all the same.
-- An event whose welcome code another one owns is put off until the owner has its outcome.
-- KEYS  due, polling_until, consumed, the queue's pause
-- ARGV  prefix of rows, most, lease (ms), attending for (ms; 0: no longer), prefix of the books' revision numbers,
--       ms for which an event is put off
-- → now (ms), then per event: its row before the try as a flat list, the number of its app's book ('' if there is none),
--   what became of the owner of its code ('' if it owns the code itself, or the owner's row is gone)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local result = { now }
local paused = tonumber(redis.call('HGET', KEYS[4], 'until') or 0) > now
for _, id in ipairs(paused and {} or redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local row = ARGV[1] .. id
  local fields = redis.call('HGETALL', row)
  local place = {} -- of each field's value
  for i = 1, #fields, 2 do
    place[fields[i]] = i + 1
  end
  local owner = { false, false }
  if place['code_owner'] then
    owner = redis.call('HMGET', ARGV[1] .. fields[place['code_owner']], 'app', 'outcome')
  end
  if #fields == 0 then -- forgotten, or past its life
    redis.call('ZREM', KEYS[1], id)
  elseif owner[1] and not owner[2] then
    redis.call('ZADD', KEYS[1], now + ARGV[6], id)
  else
    fields[place['claims']] = tostring(redis.call('HINCRBY', row, 'claims', 1)) -- its number fences off the one before
    redis.call('ZADD', KEYS[1], now + ARGV[3], id)
    redis.call('HINCRBY', row, 'attempts', 1)
    result[#result + 1] = fields
    result[#result + 1] = redis.call('GET', ARGV[5] .. fields[place['app']]) or ''
    result[#result + 1] = owner[2] or ''
  end
end
local taken = (#result - 1) / 3
if tonumber(ARGV[4]) > 0 and taken < tonumber(ARGV[2]) then
  redis.call('SET', KEYS[2], now + ARGV[4], 'PX', ARGV[4])
else
  redis.call('DEL', KEYS[2])
end
redis.call('SET', KEYS[3], now) -- proof that a message went through the queue and a worker took it
return result
