-- Record the progress of a follow-up, if the fencing token is still the claim's.
-- KEYS  row, due follow-ups, those that await a full add, the app's failed ones
-- ARGV  id, fencing token, state, delay (ms; for 'waiting'), '1' if it awaits a full add or '',
--       then field, value, ... of the row
-- → 1 recorded, 0 the claim is no longer ours, or there is no row
local state = ARGV[3]
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
if redis.call('HGET', KEYS[1], 'follow_claims') ~= ARGV[2] then
  return 0
end
if state == 'none' then -- its template asks for nothing
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[1], 'follow_state', 'follow_claims', 'follow_attempts', 'follow_next_at')
  return 1
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'follow_state', state, 'follow_at', now, unpack(ARGV, 6))
if state == 'waiting' then
  local next_at = now + ARGV[4]
  redis.call('HSET', KEYS[1], 'follow_next_at', next_at)
  redis.call('ZADD', KEYS[2], next_at, ARGV[1])
  if ARGV[5] == '1' then
    local who = redis.call('HMGET', KEYS[1], 'app', 'user_id', 'external_user_id')
    redis.call('HSET', KEYS[3], table.concat(who, '|'), ARGV[1])
  end
else
  redis.call('HDEL', KEYS[1], 'follow_next_at')
  redis.call('ZREM', KEYS[2], ARGV[1])
  if state == 'failed' then
    redis.call('ZADD', KEYS[4], redis.call('HGET', KEYS[1], 'received_at'), ARGV[1])
  end
end
return 1
