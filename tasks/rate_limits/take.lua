-- Take permits for calls of one API, as many as are left; or say how long there is none.
-- KEYS  calls of the API, calls of all APIs but greetings, of all corps' greetings
-- ARGV  permits wanted, limit of the API a minute, an hour, limit of the IP address a minute, an hour
-- → permits, ms until there may be one, 1 if the permit is a probe: WeCom refused the calls before it
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local api = calls_of(KEYS[1], now, tonumber(ARGV[2]), tonumber(ARGV[3]))
local address = calls_of(KEYS[2], now, tonumber(ARGV[4]), tonumber(ARGV[5]))
local greetings = calls_of(KEYS[3], now, 0, 0)
local minute, hour = address.minute + greetings.minute, address.hour + greetings.hour
local permits = math.min(tonumber(ARGV[1]), api.left, math.max(0, math.min(ARGV[4] - minute, ARGV[5] - hour)))
if permits > 0 then
  api.begin(permits)
  address.begin(permits)
  return { permits, 0, api.probe and 1 or 0 }
end
api.hold()
if api.blocked_until > 0 then
  return { 0, api.blocked_until - now, 0 }
end
return { 0, 1000 - now % 1000, 0 }
