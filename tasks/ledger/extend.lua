-- Keep a claim for longer: for a try, or for a wait after an answer.
-- KEYS  row, due
-- ARGV  id, number of the claim, lease (ms), field to count: 'attempts', 'answers' or ''
-- → 1 held, 0 no longer ours
local row = redis.call('HMGET', KEYS[1], 'claims', 'outcome')
if row[1] ~= ARGV[2] or row[2] then
  return 0
end
local time = redis.call('TIME')
if ARGV[4] ~= '' then
  redis.call('HINCRBY', KEYS[1], ARGV[4], 1)
end
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3], ARGV[1])
return 1
