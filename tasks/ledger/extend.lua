-- Keep a claim for longer: for a try, or for a wait after an answer; or give it back, to be due as before the claim.
-- A further try counts among the calls of its corp (calls.lua, which stands before this text), and may have to wait.
-- KEYS  row, due; for a further try: the calls of its corp, and where there are several, of all corps together
-- ARGV  id, fencing token, lease (ms; '' to give it back), limits of the calls a minute and an hour, then field, value, ... of the row
-- → 1 held, 0 no longer ours, 2 ours, but no call may begin now: nothing has changed
local row = redis.call('HMGET', KEYS[1], 'claims', 'outcome', 'received_at')
if row[1] ~= ARGV[2] or row[2] then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if KEYS[3] then
  local calls = calls_of(KEYS[3], now, tonumber(ARGV[4]), tonumber(ARGV[5]))
  if calls.left == 0 or calls.probe then
    calls.hold()
    return 2
  end
  calls.begin(1)
  if KEYS[4] then calls_of(KEYS[4], now, 0, 0).begin(1) end
end
if #ARGV > 5 then
  redis.call('HSET', KEYS[1], unpack(ARGV, 6)) -- no increment: the step may run twice, if its answer was lost
end
redis.call('ZADD', KEYS[2], ARGV[3] == '' and row[3] or now + ARGV[3], ARGV[1])
return 1
