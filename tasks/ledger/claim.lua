-- Take what is due, each under a lease: due again when the lease ends. A claim begins a try, if it is not too late.
-- Nothing, while the queue is paused; the queue is consumed all the same.
-- An event whose welcome code another one owns is put off until the owner has its outcome.
-- An event that can still be greeted is left where it is while no call of WeCom's may begin for its corp (calls.lua, which
-- stands before this text). Where there are several corps it is put off, so that those of the others are found.
-- KEYS  due, polling_until, consumed, the queue's pause, the times without a worker
-- ARGV  prefix of rows, most, lease (ms), attending for (ms; 0: no longer), prefix of the books' revision numbers,
--       ms for which an event is put off, whom ('oldest_first', 'newest_first', 'too_late'), the window (ms), and the ms of it
--       that must be left for a try to be worth while ('too_late': and with less of which there is none), prefix of the corps'
--       calls, their limits a minute and an hour, ms of the window that must be left for a try to begin, the calls
--       of all corps together ('' if there is one corp), the slots of each app's share ('' if there is one app), among how many more events it is looked
--       for those of other apps, ms without a message taken from which it is a time without a worker, how many of these are
--       kept, of how many workers a row keeps what they recorded, then app, slots that it has, ...
-- → now (ms), whether somebody waits whom this claim could not take (1 or 0), how many of them have too little time left,
--   then per event: its row before the try as a flat list, with a field `probe` if WeCom refused the calls before it; the
--   number of its app's book ('' if there is none); what became of the owner of its code ('' if it owns the code itself,
--   or the owner's row is gone)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most, whom = tonumber(ARGV[2]), ARGV[7]
local over = now - ARGV[8] -- received then, so the window ends now
local worth = over + ARGV[9]

-- As many of these as may be taken: those whose app has fewer slots than its share, then the others.
local share = tonumber(ARGV[15])
local function shared(ids)
  local held, first, last = {}, {}, {}
  for i = 20, #ARGV, 2 do
    held[ARGV[i]] = tonumber(ARGV[i + 1])
  end
  for _, id in ipairs(ids) do
    local app = redis.call('HGET', ARGV[1] .. id, 'app') or ''
    held[app] = (held[app] or 0) + 1
    local list = held[app] <= share and first or last
    list[#list + 1] = id
  end
  for _, id in ipairs(last) do
    first[#first + 1] = id
  end
  return { unpack(first, 1, math.min(#first, most)) }
end

-- The ids to take, and whether there may be more. While there are few, everybody; else those with time enough, then
-- those with the most time. By the score: an event that was claimed before has less time than it says.
local function due()
  local range, back = 'ZRANGEBYSCORE', 'ZREVRANGEBYSCORE'
  if whom == 'too_late' then
    return redis.call(range, KEYS[1], '-inf', '(' .. worth, 'LIMIT', 0, most), false
  end
  local ids = redis.call(range, KEYS[1], '-inf', now, 'LIMIT', 0, most)
  if #ids < most then return ids, false end
  local looked_at = share and most + ARGV[16] or most
  if whom == 'newest_first' then
    ids = redis.call(back, KEYS[1], now, worth, 'LIMIT', 0, looked_at)
  else
    ids = redis.call(range, KEYS[1], worth, now, 'LIMIT', 0, looked_at)
  end
  for _, id in ipairs(redis.call(back, KEYS[1], '(' .. worth, '-inf', 'LIMIT', 0, math.max(0, most - #ids))) do
    ids[#ids + 1] = id
  end
  return share and shared(ids) or ids, true
end

local result = { now, 0, 0 }
local sends = {} -- corp → its calls

-- The calls that this event's greeting belongs to; nothing for one for which WeCom is not called.
local function calls_for(fields, place, revision)
  local code, left = fields[place['welcome_code']] or '', fields[place['received_at']] - over
  if code == '' or fields[place['rehearsal']] == '1' or not revision or left < tonumber(ARGV[13]) then
    return nil
  end
  local corp = fields[place['corp_id']] or ''
  if not sends[corp] then
    local calls = calls_of(ARGV[10] .. corp, now, tonumber(ARGV[11]), tonumber(ARGV[12]))
    calls.taken = 0
    if calls.cap then -- those put off are not under way
      calls.left = math.min(calls.left, calls.cap - redis.call('ZCOUNT', KEYS[1], '(' .. now + ARGV[6], '+inf'))
    end
    sends[corp] = calls
  end
  return sends[corp]
end

-- Take one. → false if it has to wait for the calls of its corp, as then everybody has to.
local function take(id)
  local row = ARGV[1] .. id
  local fields = redis.call('HGETALL', row)
  if #fields == 0 then -- forgotten, or past its life
    redis.call('ZREM', KEYS[1], id)
    return true
  end
  local place = {} -- of each field's value
  for i = 1, #fields, 2 do
    place[fields[i]] = i + 1
  end
  for _, name in ipairs({ 'received_at', 'claims', 'attempts' }) do
    if not tonumber(fields[place[name] or 0]) then -- a damaged row: the caller says so, and nobody meets it again
      redis.call('ZREM', KEYS[1], id)
      result[#result + 1], result[#result + 2], result[#result + 3] = fields, '', ''
      return true
    end
  end
  local owner = { false, false }
  if place['code_owner'] then
    owner = redis.call('HMGET', ARGV[1] .. fields[place['code_owner']], 'app', 'outcome')
  end
  if owner[1] and not owner[2] then
    redis.call('ZADD', KEYS[1], now + ARGV[6], id)
    return true
  end
  local revision = redis.call('GET', ARGV[5] .. (fields[place['app']] or ''))
  local calls = calls_for(fields, place, revision)
  if calls and calls.taken >= calls.left then
    calls.hold()
    if ARGV[14] == '' then return false end
    redis.call('ZADD', KEYS[1], now + ARGV[6], id)
    return true
  end
  if calls then
    calls.taken = calls.taken + 1
    if calls.probe then
      fields[#fields + 1], fields[#fields + 2] = 'probe', '1'
    end
  end
  redis.call('ZADD', KEYS[1], now + ARGV[3], id)
  local number, tries, begun = fields[place['claims']] + 1, tonumber(fields[place['attempts']]), ''
  if whom ~= 'too_late' and fields[place['received_at']] - over >= tonumber(ARGV[13]) then
    tries = tries + 1
    begun = string.format(',"begun":%d', tries)
  end
  fields[place['claims']] = string.format('%d', number) -- its number fences off the one before
  local kept = { 'claims', fields[place['claims']], 'attempts', string.format('%d', tries) }
  if number <= tonumber(ARGV[19]) then -- what is known of this worker, should another one take over
    kept[5] = 'course_' .. fields[place['claims']]
    kept[6] = string.format('{"steps":{"started":%d}%s}', now - fields[place['received_at']], begun)
  end
  redis.call('HSET', row, unpack(kept))
  result[#result + 1] = fields
  result[#result + 1] = revision or ''
  result[#result + 1] = owner[2] or ''
  return true
end

local paused = tonumber(redis.call('HGET', KEYS[4], 'until') or 0) > now
local ids, more = {}, false
if not paused then ids, more = due() end
for _, id in ipairs(ids) do
  if not take(id) then -- nobody can be greeted now; who cannot be any more is settled
    for _, late in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. over + ARGV[13], 'LIMIT', 0, most)) do
      if (#result - 3) / 3 < most then take(late) end
    end
    break
  end
end
local begun = 0
for _, calls in pairs(sends) do
  if calls.taken > 0 then
    calls.begin(calls.taken)
    begun = begun + calls.taken
  end
end
if begun > 0 and ARGV[14] ~= '' then calls_of(ARGV[14], now, 0, 0).begin(begun) end
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
-- Proof that a message went through the queue and a worker took it; and how long none had.
local before = tonumber(redis.call('SET', KEYS[3], now, 'GET') or now)
if before and now - before > tonumber(ARGV[17]) then
  redis.call('ZADD', KEYS[5], now, string.format('%d:%d', before, now))
  redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1 - ARGV[18])
end
return result
