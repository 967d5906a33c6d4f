-- The calls of one API of one corp, and how many more may begin. The scripts that count calls begin with this text.
-- A hash:
--   s:N, m:N               calls that began in second N, in minute N
--   s:from, s:last, s:total    the first and the last second that count, and all their calls; m:… of the minutes
--   until                  ms before which no call may begin
--   refusals, errcode      how often in a row WeCom refused a call for too many (45009), with what
--   cap, cap_at            after 45033: how many may be under way at once, since when (ms)
--   held_from, held_at, held_by    ms of the first and the last moment at which calls were held back; the errcode, or 0
-- tasks.rate_limits.limits says the same in Python.
local SECONDS, MINUTES, PROBE, HOUR = 63, 61, 4000, 3600000
local CAP_DOUBLES, CAP_ENDS = 20000, 60000 -- ms after which it has doubled, and after which there is none
local HELD_APART = 5000 -- ms between two moments of one holding back

local function names_of(kind, from, last)
  local names = {}
  for bucket = from, last do names[#names + 1] = kind .. bucket end
  return names
end

-- → calls that count in bucket `here` and the span before it, the first bucket, calls in `here`
local function count(key, kind, here, span, from, last, total, in_here)
  from, last, total, in_here = tonumber(from), tonumber(last), tonumber(total), tonumber(in_here or 0)
  if not from then return 0, here, 0 end
  local first = here - span + 1
  if last <= here and from >= first then return total, from, in_here end
  if last > here then -- the clock was set back: all of them count from now on
    redis.call('HDEL', key, unpack(names_of(kind, from, last)))
    redis.call('HSET', key, kind .. here, total, kind .. 'from', here, kind .. 'last', here)
    return total, here, total
  end
  local lapsed = names_of(kind, from, math.min(last, first - 1))
  for _, calls in ipairs(redis.call('HMGET', key, unpack(lapsed))) do total = total - (tonumber(calls or 0) or 0) end
  redis.call('HDEL', key, unpack(lapsed))
  if last < first then first, last = here, here end
  redis.call('HSET', key, kind .. 'from', first, kind .. 'last', last, kind .. 'total', total)
  return total, first, in_here
end

-- The calls under `key` at `now` (ms): how many are `left` of `minute` and `hour`; whether the next one is a `probe`.
local function calls_of(key, now, minute, hour)
  local s = math.floor(now / 1000)
  local m = math.floor(s / 60)
  local got = redis.call('HMGET', key, 's:from', 's:last', 's:total', 's:' .. s, 'm:from', 'm:last', 'm:total', 'm:' .. m,
    'until', 'refusals', 'errcode', 'cap', 'cap_at', 'held_from', 'held_at')
  local in_minute, s_from, in_s = count(key, 's:', s, SECONDS, got[1], got[2], got[3], got[4])
  local in_hour, m_from, in_m = count(key, 'm:', m, MINUTES, got[5], got[6], got[7], got[8])
  local self = { minute = in_minute, hour = in_hour, blocked_until = tonumber(got[9] or 0) }
  self.refusals, self.errcode = tonumber(got[10] or 0), got[11] or '0'
  if self.blocked_until <= now or self.blocked_until > now + HOUR then -- it is over, or the clock was set back
    self.blocked_until = 0
  end
  self.left = math.max(0, math.min(minute - in_minute, hour - in_hour))
  if self.blocked_until > 0 then
    self.left = 0
  elseif self.refusals > 0 then
    self.left, self.probe = math.min(1, self.left), true
  end
  local since = now - tonumber(got[13] or 0)
  if got[12] and since >= 0 and since < CAP_ENDS then
    self.cap = math.floor(got[12] * (1 + since / CAP_DOUBLES))
  end

  function self.begin(calls)
    redis.call('HSET', key, 's:from', s_from, 's:last', s, 's:total', in_minute + calls, 's:' .. s, in_s + calls,
      'm:from', m_from, 'm:last', m, 'm:total', in_hour + calls, 'm:' .. m, in_m + calls)
    if in_m == 0 then redis.call('PEXPIRE', key, 2 * HOUR) end
    if self.probe then redis.call('HSET', key, 'until', now + PROBE) end
  end

  function self.hold()
    local from, at = tonumber(got[14] or 0), tonumber(got[15] or 0)
    if at > now or now - at > HELD_APART then from = now end
    if at > now or now - at > 200 then
      local by = (self.blocked_until > 0 or self.probe) and self.errcode or 0
      redis.call('HSET', key, 'held_from', from, 'held_at', now, 'held_by', by)
    end
  end
  return self
end

