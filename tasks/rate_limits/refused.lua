-- WeCom refused a call for a limit: nobody calls for a while.
-- KEYS  calls of the API; for greetings, `due`
-- ARGV  errcode, 1 if the call was a probe, the code for too many at once, ms of the pause after that one,
--       ms in which as many again may be under way after it, ms of the pauses after the first, second … 45009 in a row
-- → ms for which nobody calls
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local api = calls_of(KEYS[1], now, 1, 1)
if api.blocked_until > 0 and ARGV[2] ~= '1' then -- known: this call began before
  api.hold()
  return api.blocked_until - now
end
local pause
if ARGV[1] == ARGV[3] then
  pause = tonumber(ARGV[4])
  redis.call('HDEL', KEYS[1], 'refusals')
  if KEYS[2] then -- fewer at once: half as many, then less by a quarter each time
    local cap = api.cap and api.cap * 0.75 or redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') / 2
    redis.call('HSET', KEYS[1], 'cap', math.max(1, math.floor(cap)), 'cap_at', now, 'cap_grows', ARGV[5])
  end
else
  local refusals = api.refusals + 1
  pause = tonumber(ARGV[math.min(5 + refusals, #ARGV)])
  redis.call('HSET', KEYS[1], 'refusals', refusals)
end
redis.call('HSET', KEYS[1], 'until', now + pause, 'until_set', now, 'errcode', ARGV[1])
redis.call('PEXPIRE', KEYS[1], 2 * HOUR)
api.blocked_until = now + pause
api.hold()
return pause
