-- Write what became of an event. The first outcome stays; only `sent`, which is WeCom's own word, replaces another:
-- the answer that was thought lost arrived after all.
-- What is to be done after the greeting is entered in the same step, and a full add hastens what waits for it.
-- KEYS  row, due, counters, day, due of follow-ups, follow-ups that await a full add
-- ARGV  id, number of pairs n, n × (field, value) of the row, number of counts m, m × (field of `counters`, amount),
--       the day's field or '', '1' for an event that is followed up or ''
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
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if ARGV[counters_end + 2] == '1' then
    redis.call('HSET', KEYS[1], 'follow_state', 'waiting', 'follow_claims', 0, 'follow_attempts', 0,
      'follow_next_at', now)
    redis.call('ZADD', KEYS[5], now, ARGV[1])
  end
  local who = redis.call('HMGET', KEYS[1], 'change', 'app', 'user_id', 'external_user_id')
  if who[1] == 'add' then
    local pair = table.concat({ who[2], who[3], who[4] }, '|')
    local waits = redis.call('HGET', KEYS[6], pair)
    if waits then
      redis.call('HDEL', KEYS[6], pair)
      redis.call('ZADD', KEYS[5], 'XX', now, waits)
    end
  end
end
return 1
