-- Take what is due, each under a lease: due again when the lease ends. A claim begins a try, if it is not too late.
-- Nothing, while the queue is paused; the queue is consumed all the same.
-- An event whose welcome code another one owns is put off until the owner has its outcome.
-- An event that can still be greeted is left where it is while no call of WeCom's may begin for its corp (calls.lua,
-- which stands before this text). Where there are several corps it is put off, so that those of the others are found.
-- KEYS, ARGV  as they are named below
-- → now (ms), whether somebody waits whom this claim could not take (1 or 0), how many of them have too little time
--   left, then per event: its row before the try as a flat list, with a field `probe` if WeCom refused the calls before
--   it; the number of its app's book ('' if there is none); what became of the owner of its code ('' if it owns the
--   code itself, or the owner's row is gone)
local due, polling_until, consumed, pause, idle = unpack(KEYS) -- idle: the times without a worker
local rows, books, corps = ARGV[1], ARGV[5], ARGV[10] -- prefixes of keys: rows, books' revision numbers, corps' calls
local most = tonumber(ARGV[2]) -- events
local lease, put_off = tonumber(ARGV[3]), tonumber(ARGV[6]) -- ms; put_off: until an event is looked at again
local polls_within = tonumber(ARGV[4]) -- ms within which it claims again, so that no message is needed; 0: it may not
local whom = ARGV[7] -- 'oldest_first', 'newest_first', 'too_late'
local window = tonumber(ARGV[8]) -- ms
local worthwhile = tonumber(ARGV[9]) -- ms that must be left for a try to be worth while; 'too_late': to be possible
local minute, hour = tonumber(ARGV[11]), tonumber(ARGV[12]) -- calls of a corp, at most
local least = tonumber(ARGV[13]) -- ms that must be left for a try to begin
local all_corps = ARGV[14] -- key of the calls of all corps together; '' if there is one corp
local share = tonumber(ARGV[15]) -- slots of each app; nil if there is one app
local further = ARGV[16] -- events, besides those that may be taken: among them it looks for those of other apps
local idle_from, idle_kept = tonumber(ARGV[17]), ARGV[18] -- ms without a message taken; how many such times are kept
local workers_kept = tonumber(ARGV[19]) -- of how many workers a row keeps what they recorded
local APPS = 20 -- from here on: app, slots that it has, ...

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local over = now - window -- received then, so the window ends now
local worth = over + worthwhile

-- As many of these as may be taken: those whose app has fewer slots than its share, then the others.
local function shared(ids)
  local held, first, last = {}, {}, {}
  for i = APPS, #ARGV, 2 do
    held[ARGV[i]] = tonumber(ARGV[i + 1])
  end
  for _, id in ipairs(ids) do
    local app = redis.call('HGET', rows .. id, 'app') or ''
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
local function found()
  local range, back = 'ZRANGEBYSCORE', 'ZREVRANGEBYSCORE'
  if whom == 'too_late' then
    return redis.call(range, due, '-inf', '(' .. worth, 'LIMIT', 0, most), false
  end
  local ids = redis.call(range, due, '-inf', now, 'LIMIT', 0, most)
  if #ids < most then return ids, false end
  local looked_at = share and most + further or most
  if whom == 'newest_first' then
    ids = redis.call(back, due, now, worth, 'LIMIT', 0, looked_at)
  else
    ids = redis.call(range, due, worth, now, 'LIMIT', 0, looked_at)
  end
  for _, id in ipairs(redis.call(back, due, '(' .. worth, '-inf', 'LIMIT', 0, math.max(0, most - #ids))) do
    ids[#ids + 1] = id
  end
  return share and shared(ids) or ids, true
end

local result = { now, 0, 0 }
local sends = {} -- corp → its calls

-- The calls that this event's greeting belongs to; nothing for one for which WeCom is not called.
local function calls_for(fields, place, revision)
  local code, left = fields[place['welcome_code']] or '', fields[place['received_at']] - over
  if code == '' or fields[place['rehearsal']] == '1' or not revision or left < least then
    return nil
  end
  local corp = fields[place['corp_id']] or ''
  if not sends[corp] then
    local calls = calls_of(corps .. corp, now, minute, hour)
    calls.taken = 0
    if calls.cap then -- those put off are not under way
      calls.left = math.min(calls.left, calls.cap - redis.call('ZCOUNT', due, '(' .. now + put_off, '+inf'))
    end
    sends[corp] = calls
  end
  return sends[corp]
end

-- Take one. → false if it has to wait for the calls of its corp, as then everybody has to.
local function take(id)
  local row = rows .. id
  local fields = redis.call('HGETALL', row)
  if #fields == 0 then -- forgotten, or past its life
    redis.call('ZREM', due, id)
    return true
  end
  local place = {} -- of each field's value
  for i = 1, #fields, 2 do
    place[fields[i]] = i + 1
  end
  for _, name in ipairs({ 'received_at', 'claims', 'attempts' }) do
    if not tonumber(fields[place[name] or 0]) then -- a damaged row: the caller says so, and nobody meets it again
      redis.call('ZREM', due, id)
      result[#result + 1], result[#result + 2], result[#result + 3] = fields, '', ''
      return true
    end
  end
  local owner = { false, false }
  if place['code_owner'] then
    owner = redis.call('HMGET', rows .. fields[place['code_owner']], 'app', 'outcome')
  end
  if owner[1] and not owner[2] then
    redis.call('ZADD', due, now + put_off, id)
    return true
  end
  local revision = redis.call('GET', books .. (fields[place['app']] or ''))
  local calls = calls_for(fields, place, revision)
  if calls and calls.taken >= calls.left then
    calls.hold()
    if all_corps == '' then return false end
    redis.call('ZADD', due, now + put_off, id)
    return true
  end
  if calls then
    calls.taken = calls.taken + 1
    if calls.probe then
      fields[#fields + 1], fields[#fields + 2] = 'probe', '1'
    end
  end
  redis.call('ZADD', due, now + lease, id)
  local number, tries, begun = fields[place['claims']] + 1, tonumber(fields[place['attempts']]), ''
  if whom ~= 'too_late' and fields[place['received_at']] - over >= least then
    tries = tries + 1
    begun = string.format(',"begun":%d', tries)
  end
  fields[place['claims']] = string.format('%d', number) -- its number fences off the one before
  local kept = { 'claims', fields[place['claims']], 'attempts', string.format('%d', tries) }
  if number <= workers_kept then -- what is known of this worker, should another one take over
    kept[5] = 'course_' .. fields[place['claims']]
    kept[6] = string.format('{"steps":{"started":%d}%s}', now - fields[place['received_at']], begun)
  end
  redis.call('HSET', row, unpack(kept))
  result[#result + 1] = fields
  result[#result + 1] = revision or ''
  result[#result + 1] = owner[2] or ''
  return true
end

local paused = tonumber(redis.call('HGET', pause, 'until') or 0) > now
local ids, more = {}, false
if not paused then ids, more = found() end
for _, id in ipairs(ids) do
  if not take(id) then -- nobody can be greeted now; who cannot be any more is settled
    for _, late in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', '(' .. over + least, 'LIMIT', 0, most)) do
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
if begun > 0 and all_corps ~= '' then calls_of(all_corps, now, 0, 0).begin(begun) end
if more then
  result[2], result[3] = 1, redis.call('ZCOUNT', due, over, '(' .. worth)
end
if whom == 'too_late' then return result end -- which is not what a message asks for
local taken = (#result - 3) / 3
if polls_within > 0 and taken < most then
  redis.call('SET', polling_until, now + polls_within, 'PX', polls_within)
else
  redis.call('DEL', polling_until)
end
-- Proof that a message went through the queue and a worker took it; and how long none had.
local before = tonumber(redis.call('SET', consumed, now, 'GET') or now)
if before and now - before > idle_from then
  redis.call('ZADD', idle, now, string.format('%d:%d', before, now))
  redis.call('ZREMRANGEBYRANK', idle, 0, -1 - idle_kept)
end
return result
