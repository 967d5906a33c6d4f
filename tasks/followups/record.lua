-- Record the progress of a follow-up, if the fencing token is still the claim's.
-- KEYS  as they are named below
-- ARGV  as they are named below, then field, value, ... of the row
-- → 1 recorded, 0 the claim is no longer ours, or there is no row
local row, due, awaited, failed = unpack(KEYS) -- awaited: those that wait for a full add; failed: of the app
local id, fencing_token, state = ARGV[1], ARGV[2], ARGV[3]
local delay, awaits = ARGV[4], ARGV[5] -- ms, for 'waiting'; '1' if it awaits a full add or ''
local FIELDS = 6 -- from here on

if redis.call('EXISTS', row) == 0 then
  redis.call('ZREM', due, id)
  return 0
end
if redis.call('HGET', row, 'follow_claims') ~= fencing_token then
  return 0
end
if state == 'none' then -- its template asks for nothing
  redis.call('ZREM', due, id)
  redis.call('HDEL', row, 'follow_state', 'follow_claims', 'follow_attempts', 'follow_next_at')
  return 1
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', row, 'follow_state', state, 'follow_at', now, unpack(ARGV, FIELDS))
if state == 'waiting' then
  local next_at = now + delay
  redis.call('HSET', row, 'follow_next_at', next_at)
  redis.call('ZADD', due, next_at, id)
  if awaits == '1' then
    local who = redis.call('HMGET', row, 'app', 'user_id', 'external_user_id')
    redis.call('HSET', awaited, table.concat(who, '|'), id)
  end
else
  redis.call('HDEL', row, 'follow_next_at')
  redis.call('ZREM', due, id)
  if state == 'failed' then
    redis.call('ZADD', failed, redis.call('HGET', row, 'received_at'), id)
  end
end
return 1
