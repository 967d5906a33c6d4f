-- Record what became of a try, if the fencing token is still the claim's. The tags of one that is done are those of the
-- row that were put on by hand.
-- KEYS  row, due taggings
-- ARGV  id, fencing token, state, delay (ms; for 'waiting'), then field, value, ... of the row
-- → 1 recorded, 0 the claim is no longer ours, or there is no row
local call = redis.call
if call('EXISTS', KEYS[1]) == 0 then
  call('ZREM', KEYS[2], ARGV[1])
  return 0
end
if call('HGET', KEYS[1], 'tagging_claims') ~= ARGV[2] then
  return 0
end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
call('HSET', KEYS[1], 'tagging_state', ARGV[3], 'tagging_tried_at', now, unpack(ARGV, 5))
if ARGV[3] == 'waiting' then
  call('HSET', KEYS[1], 'tagging_next_at', now + ARGV[4])
  call('ZADD', KEYS[2], now + ARGV[4], ARGV[1])
else
  call('HDEL', KEYS[1], 'tagging_next_at')
  call('ZREM', KEYS[2], ARGV[1])
end
return 1
