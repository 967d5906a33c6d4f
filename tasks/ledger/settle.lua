-- Write what became of an event. The first outcome stays; only `sent`, which is WeCom's own word, replaces another:
-- the answer that was thought lost arrived after all.
-- KEYS  row, due, counters, day
-- ARGV  id, number of pairs n, n × (field, value) of the row, number of counts m, m × (field of `counters`, amount),
--       the day's field or ''
-- → 1 written, 0 there was an outcome already, or no row
local outcome
local pairs_end = 2 + 2 * ARGV[2]
for i = 3, pairs_end, 2 do
  if ARGV[i] == 'outcome' then outcome = ARGV[i + 1] end
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
local before = redis.call('HGET', KEYS[1], 'outcome')
if before and (before == 'sent' or outcome ~= 'sent') then
  return 0
end
redis.call('HDEL', KEYS[1], 'reason', 'errcode')
redis.call('HSET', KEYS[1], unpack(ARGV, 3, pairs_end))
redis.call('HDEL', KEYS[1], 'welcome_code') -- a one-use secret: gone with its use
redis.call('ZREM', KEYS[2], ARGV[1])
if not before then
  local counters_end = pairs_end + 1 + 2 * ARGV[pairs_end + 1]
  for i = pairs_end + 2, counters_end, 2 do
    redis.call('HINCRBY', KEYS[3], ARGV[i], ARGV[i + 1])
  end
  if ARGV[counters_end + 1] ~= '' then
    redis.call('HINCRBY', KEYS[4], ARGV[counters_end + 1], 1)
  end
end
return 1
