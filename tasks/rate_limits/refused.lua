-- WeCom refused a call for a limit: nobody calls for a while.
-- KEYS  calls of the API; for greetings, `due`
-- ARGV  as they are named below, then ms of the pauses after the first, second … 45009 in a row
-- → ms for which nobody calls
local calls, due = unpack(KEYS)
local errcode, probe = ARGV[1], ARGV[2] -- probe: '1' if the call was one
local at_once, at_once_pause = ARGV[3], tonumber(ARGV[4]) -- the code for too many at once, and its pause (ms)
local cap_grows = ARGV[5] -- ms in which as many again may be under way after it
local BEFORE_PAUSES = 5

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local api = calls_of(calls, now, 1, 1)
if api.blocked_until > 0 and probe ~= '1' then -- known: this call began before
  api.hold()
  return api.blocked_until - now
end
local pause
if errcode == at_once then
  pause = at_once_pause
  redis.call('HDEL', calls, 'refusals')
  if due then -- fewer at once: half as many, then less by a quarter each time
    local cap = api.cap and api.cap * 0.75 or redis.call('ZCOUNT', due, '(' .. now, '+inf') / 2
    redis.call('HSET', calls, 'cap', math.max(1, math.floor(cap)), 'cap_at', now, 'cap_grows', cap_grows)
  end
else
  local refusals = api.refusals + 1
  pause = tonumber(ARGV[math.min(BEFORE_PAUSES + refusals, #ARGV)])
  redis.call('HSET', calls, 'refusals', refusals)
end
redis.call('HSET', calls, 'until', now + pause, 'until_set', now, 'errcode', errcode)
redis.call('PEXPIRE', calls, 2 * HOUR)
api.blocked_until = now + pause
api.hold()
return pause
