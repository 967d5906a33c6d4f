-- Keep a claim for longer: for a try, or for a wait after an answer.
-- KEYS  row, due
-- ARGV  id, fencing token, lease (ms), 'attempts', 'answers' or '', how many of these there are now
-- → 1 held, 0 no longer ours
local row = redis.call('HMGET', KEYS[1], 'claims', 'outcome')
if row[1] ~= ARGV[2] or row[2] then
  return 0
end
local time = redis.call('TIME')
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[4], ARGV[5]) -- no increment: the step may run twice, if its answer was lost
end
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3], ARGV[1])
return 1
