-- Take what is due, each under a lease: due again when the lease ends. A claim begins a try, but of what is too late.
-- Nothing, while the queue is paused; the queue is consumed all the same.
-- An event whose welcome code another one owns is put off until the owner has its outcome.
-- KEYS  due, polling_until, consumed, the queue's pause
-- ARGV  prefix of rows, most, lease (ms), attending for (ms; 0: no longer), prefix of the books' revision numbers,
--       ms for which an event is put off, whom ('oldest_first', 'newest_first', 'too_late'), the window (ms), and the ms of it
--       that must be left for a try to be worth while ('too_late': and with less of which there is none)
-- → now (ms), whether somebody waits whom this claim could not take (1 or 0), how many of them have too little time left,
--   then per event: its row before the try as a flat list, the number of its app's book ('' if there is none),
--   what became of the owner of its code ('' if it owns the code itself, or the owner's row is gone)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, whom = tonumber(ARGV[2]), ARGV[7]
local over = now - ARGV[8] -- received then, so the window ends now
local worth = over + ARGV[9]

-- The ids to take, and whether there may be more. While there are few, everybody; else those with time enough, then
-- those with the most time. By the score: events that were claimed before have less time than it says, and go first.
local function due()
  local range, back = 'ZRANGEBYSCORE', 'ZREVRANGEBYSCORE'
  if whom == 'too_late' then
    return redis.call(range, KEYS[1], '-inf', '(' .. worth, 'LIMIT', 0, most), false
  end
  local ids = redis.call(range, KEYS[1], '-inf', now, 'LIMIT', 0, most)
  if #ids < most then
    return ids, false
  elseif whom == 'newest_first' then
    ids = redis.call(back, KEYS[1], now, worth, 'LIMIT', 0, most)
  else
    ids = redis.call(range, KEYS[1], worth, now, 'LIMIT', 0, most)
  end
  for _, id in ipairs(redis.call(back, KEYS[1], '(' .. worth, '-inf', 'LIMIT', 0, most - #ids)) do
    ids[#ids + 1] = id
  end
  return ids, true
end

local result = { now, 0, 0 }
local paused = tonumber(redis.call('HGET', KEYS[4], 'until') or 0) > now
local ids, more = {}, false
if not paused then ids, more = due() end
for _, id in ipairs(ids) do
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
    if whom ~= 'too_late' then redis.call('HINCRBY', row, 'attempts', 1) end
    result[#result + 1] = fields
    result[#result + 1] = redis.call('GET', ARGV[5] .. fields[place['app']]) or ''
    result[#result + 1] = owner[2] or ''
  end
end
if more then
  result[2], result[3] = 1, redis.call('ZCOUNT', KEYS[1], over, '(' .. worth)
end
if whom == 'too_late' then return result end -- which is not what a message asks for
local taken = (#result - 3) / 3
if tonumber(ARGV[4]) > 0 and taken < most then
  redis.call('SET', KEYS[2], now + ARGV[4], 'PX', ARGV[4])
else
  redis.call('DEL', KEYS[2])
end
redis.call('SET', KEYS[3], now) -- proof that a message went through the queue and a worker took it
return result
