-- Put events, and changes of contacts, at the end of what is to be forwarded.
-- KEYS  what is to be forwarded; for each of them the row that it was read from
-- ARGV  what each is there
-- → how many: without those whose row has gone since, which a customer who was forgotten takes along
local call = redis.call
local put = 0
for n, item in ipairs(ARGV) do
  if call('EXISTS', KEYS[n + 1]) == 1 then
    call('RPUSH', KEYS[1], item)
    put = put + 1
  end
end
return put
