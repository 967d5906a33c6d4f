-- Apply a change of a contact to the row of its add, once, and count a loss under the day of the add, once for a row.
-- KEYS  the change, pending changes, row of the add ('' without one), the day's losses
-- ARGV  id, change as a JSON list, how many a row keeps, '1' if it is a loss or '', their life (s), most fields,
--       then the fields of the losses that it adds to
-- → 1 applied, 0 it was applied already
local call = redis.call
if call('ZREM', KEYS[2], ARGV[1]) == 0 then
  return 0
end
if call('EXISTS', KEYS[1]) == 1 then
  call('SET', KEYS[1], '', 'KEEPTTL') -- nothing but that it was here: it names a customer no longer
end
if KEYS[3] == '' or call('EXISTS', KEYS[3]) == 0 then
  return 1
end
local readable, known = pcall(cjson.decode, call('HGET', KEYS[3], 'changes') or '[]')
if not readable then known = {} end
if #known < tonumber(ARGV[3]) then
  known[#known + 1] = cjson.decode(ARGV[2])
  call('HSET', KEYS[3], 'changes', cjson.encode(known))
end
if ARGV[4] == '1' and call('HSETNX', KEYS[3], 'lost_at', cjson.decode(ARGV[2])[2]) == 1 then
  for i = 7, #ARGV do
    if call('HEXISTS', KEYS[4], ARGV[i]) == 1 or call('HLEN', KEYS[4]) < tonumber(ARGV[6]) then
      call('HINCRBY', KEYS[4], ARGV[i], 1)
    end
  end
  if call('TTL', KEYS[4]) < 0 and call('EXISTS', KEYS[4]) == 1 then
    call('EXPIRE', KEYS[4], ARGV[5])
  end
end
return 1
