-- Keep a claim for longer: for a try, or for a wait after an answer; or give it back, to be due as before the claim.
-- A further try counts among the calls of its corp (calls.lua, which stands before this text), and may have to wait.
-- KEYS  row, due; for a further try: the calls of its corp, and where there are several, of all corps together
-- ARGV  as they are named below, then field, value, ... of the row
-- → 1 held, 0 no longer ours, 2 ours, but no call may begin now: nothing has changed
local row, due, corp, all_corps = unpack(KEYS)
local id, fencing_token = ARGV[1], ARGV[2]
local lease = ARGV[3] -- ms; '' to give it back
local minute, hour = tonumber(ARGV[4]), tonumber(ARGV[5]) -- calls of the corp, at most
local FIELDS = 6 -- from here on

local claims, outcome, received_at = unpack(redis.call('HMGET', row, 'claims', 'outcome', 'received_at'))
if claims ~= fencing_token or outcome then
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if corp then
  local calls = calls_of(corp, now, minute, hour)
  if calls.left == 0 or calls.probe then
    calls.hold()
    return 2
  end
  calls.begin(1)
  if all_corps then calls_of(all_corps, now, 0, 0).begin(1) end
end
if #ARGV >= FIELDS then
  redis.call('HSET', row, unpack(ARGV, FIELDS)) -- no increment: the step may run twice, if its answer was lost
end
redis.call('ZADD', due, lease == '' and received_at or now + lease, id)
return 1
