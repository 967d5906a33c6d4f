-- Claim due follow-ups, oldest first, each under a lease: due again when the lease ends.
-- Claims nothing while the queue is paused.
-- KEYS  due follow-ups, those that await a full add, the queue's pause
-- ARGV  prefix of rows, most, lease (ms)
-- → per follow-up: its id, its row as a flat list
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local result = {}
if tonumber(redis.call('HGET', KEYS[3], 'until') or 0) > now then
  return result
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local row = ARGV[1] .. id
  if redis.call('HGET', row, 'follow_state') ~= 'waiting' then -- forgotten, or past its life
    redis.call('ZREM', KEYS[1], id)
  else
    redis.call('HINCRBY', row, 'follow_claims', 1) -- the fencing token: it invalidates the previous claim
    redis.call('HINCRBY', row, 'follow_attempts', 1)
    redis.call('ZADD', KEYS[1], now + ARGV[3], id)
    local who = redis.call('HMGET', row, 'app', 'user_id', 'external_user_id')
    redis.call('HDEL', KEYS[2], table.concat(who, '|'))
    result[#result + 1] = id
    result[#result + 1] = redis.call('HGETALL', row)
  end
end
return result
