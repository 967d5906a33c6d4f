-- Claim due taggings, oldest first, each under a lease: due again when the lease ends.
-- Claims nothing while the queue is paused.
-- KEYS  due taggings, the queue's pause
-- ARGV  prefix of rows, most, lease (ms)
-- → per tagging: the event's id, its row as a flat list
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local result = {}
if tonumber(call('HGET', KEYS[2], 'until') or 0) > now then
  return result
end
for _, id in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local row = ARGV[1] .. id
  if call('HGET', row, 'tagging_state') ~= 'waiting' then -- forgotten, or past its life
    call('ZREM', KEYS[1], id)
  else
    call('HINCRBY', row, 'tagging_claims', 1) -- the fencing token: it invalidates the previous claim
    call('HINCRBY', row, 'tagging_attempts', 1)
    call('ZADD', KEYS[1], now + ARGV[3], id)
    result[#result + 1] = id
    result[#result + 1] = call('HGETALL', row)
  end
end
return result
