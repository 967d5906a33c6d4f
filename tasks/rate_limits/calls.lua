-- The calls of one API of one corp, and how many more may begin. The scripts that count calls begin with this text.
-- A hash:
--   s:N, m:N               calls that began in second N, in minute N
--   s:from, s:last, s:total    the first and the last second that count, and all their calls; m:… of the minutes
--   until, until_set       ms before which no call may begin, and at which that was written
--   refusals, errcode      how often in a row WeCom refused a call for too many (45009); the errcode of its last refusal
--   cap, cap_at, cap_grows  after a refusal: how many may be under way at once, since when, ms in which it grows by as many
--   held_from, held_at, held_by    ms of the first and the last moment at which calls were held back; the errcode, or 0
-- tasks.rate_limits.limits says the same in Python.
local SECONDS, MINUTES, PROBE, HOUR = 63, 61, 4000, 3600000
local CAP_ENDS = 60000 -- ms after which there is no cap any more
local HELD_APART = 5000 -- ms between two moments of one holding back

local function names_of(kind, from, last)
  local names = {}
  for bucket = from, last do names[#names + 1] = kind .. bucket end
  return names
end

-- → calls that count in bucket `here` and the span before it; whether there are any from before
local function count(key, kind, here, span, last, total)
  last, total = tonumber(last), tonumber(total)
  if last == here then return total, true end
  if not last then return 0, false end
  local from, first = tonumber(redis.call('HGET', key, kind .. 'from')), here - span + 1
  if last > here then -- the clock was set back: all of them count from now on
    redis.call('HDEL', key, unpack(names_of(kind, from, last)))
    redis.call('HSET', key, kind .. here, total, kind .. 'from', here, kind .. 'last', here)
    return total, true
  end
  if from >= first then return total, true end
  local lapsed = names_of(kind, from, math.min(last, first - 1))
  for _, calls in ipairs(redis.call('HMGET', key, unpack(lapsed))) do total = total - (tonumber(calls or 0) or 0) end
  redis.call('HDEL', key, unpack(lapsed))
  if last < first then
    redis.call('HDEL', key, kind .. 'from', kind .. 'last', kind .. 'total')
    return 0, false
  end
  redis.call('HSET', key, kind .. 'from', first, kind .. 'total', total)
  return total, true
end

-- Count calls in bucket `here`.
local function add(key, kind, here, last, any, calls)
  if not any then
    redis.call('HSET', key, kind .. 'from', here, kind .. 'last', here)
  elseif last ~= here then
    redis.call('HSET', key, kind .. 'last', here)
  end
  redis.call('HINCRBY', key, kind .. 'total', calls)
  redis.call('HINCRBY', key, kind .. here, calls)
end

-- The calls under `key` at `now` (ms): how many are `left` of `minute` and `hour`; whether the next one is a `probe`.
local function calls_of(key, now, minute, hour)
  local s = math.floor(now / 1000)
  local m = math.floor(s / 60)
  local got = redis.call('HMGET', key, 's:last', 's:total', 'm:last', 'm:total', 'until', 'refusals', 'cap',
    'until_set')
  local in_minute, any_in_minute = count(key, 's:', s, SECONDS, got[1], got[2])
  local in_hour, any_in_hour = count(key, 'm:', m, MINUTES, got[3], got[4])
  local self = { minute = in_minute, hour = in_hour, blocked_until = tonumber(got[5] or 0) }
  self.refusals = tonumber(got[6] or 0)
  if self.blocked_until <= now or tonumber(got[8] or 0) > now then -- it is over, or the clock was set back
    self.blocked_until = 0
  end
  self.left = math.max(0, math.min(minute - in_minute, hour - in_hour))
  local paced = self.left == 0
  if self.blocked_until > 0 then
    self.left = 0
  elseif self.refusals > 0 then
    self.left, self.probe = math.min(1, self.left), true
  end
  if got[7] then
    local cap = redis.call('HMGET', key, 'cap_at', 'cap_grows')
    local since = now - tonumber(cap[1])
    if since >= 0 and since < CAP_ENDS then
      self.cap = math.floor(got[7] * (1 + since / tonumber(cap[2])))
    else
      redis.call('HDEL', key, 'cap', 'cap_at', 'cap_grows')
    end
  end

  function self.begin(calls)
    add(key, 's:', s, tonumber(got[1]), any_in_minute, calls)
    add(key, 'm:', m, tonumber(got[3]), any_in_hour, calls)
    if tonumber(got[3]) ~= m then redis.call('PEXPIRE', key, 2 * HOUR) end
    if self.probe then redis.call('HSET', key, 'until', now + PROBE, 'until_set', now) end
  end

  function self.hold()
    local held = redis.call('HMGET', key, 'held_from', 'held_at', 'errcode')
    local from, at = tonumber(held[1] or 0), tonumber(held[2] or 0)
    if at > now or now - at > HELD_APART then from = now end
    if at > now or now - at > 200 then
      local by = not (paced and self.blocked_until == 0) and held[3] or 0
      redis.call('HSET', key, 'held_from', from, 'held_at', now, 'held_by', by)
    end
  end
  return self
end

