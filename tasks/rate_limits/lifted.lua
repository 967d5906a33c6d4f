-- WeCom accepted the call that tried for all: everybody may call again.
-- KEYS  calls of the API; for greetings, `due`
-- ARGV  for greetings: how many may be under way at once now, ms after which as many again may
redis.call('HDEL', KEYS[1], 'refusals', 'until', 'until_set')
if KEYS[2] then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'cap', ARGV[1], 'cap_at', time[1] * 1000 + math.floor(time[2] / 1000), 'cap_grows', ARGV[2])
end
return 1
