-- Apply a change of a contact to the row of its add, once, and count a loss under the day of the add, once for a row.
-- KEYS  as they are named below
-- ARGV  as they are named below, then the fields of the losses that it adds to
-- → 1 applied, 0 it was applied already
local call = redis.call
local change, pending, row, losses = unpack(KEYS) -- row: of the add, '' without one; losses: of the day
local id, told, most_changes = ARGV[1], ARGV[2], tonumber(ARGV[3]) -- told: a JSON list; most_changes: that a row keeps
local is_loss, life, most_fields = ARGV[4], ARGV[5], tonumber(ARGV[6]) -- '1' or ''; of losses: their life (s)
local FIELDS = 7 -- from here on

if call('ZREM', pending, id) == 0 then
  return 0
end
if call('EXISTS', change) == 1 then
  call('SET', change, '', 'KEEPTTL') -- nothing but that it was here: it names a customer no longer
end
if row == '' or call('EXISTS', row) == 0 then
  return 1
end
local readable, known = pcall(cjson.decode, call('HGET', row, 'changes') or '[]')
if not readable then known = {} end
if #known < most_changes then
  known[#known + 1] = cjson.decode(told)
  call('HSET', row, 'changes', cjson.encode(known))
end
if is_loss == '1' and call('HSETNX', row, 'lost_at', cjson.decode(told)[2]) == 1 then
  for i = FIELDS, #ARGV do
    if call('HEXISTS', losses, ARGV[i]) == 1 or call('HLEN', losses) < most_fields then
      call('HINCRBY', losses, ARGV[i], 1)
    end
  end
  if call('TTL', losses) < 0 and call('EXISTS', losses) == 1 then
    call('EXPIRE', losses, life)
  end
end
return 1
