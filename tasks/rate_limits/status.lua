-- What is known of the calls of one API.
-- KEYS  calls of the API
-- → calls that count of a minute, of an hour; ms for which no call may begin; how often in a row WeCom refused one; the
--   errcode; ms of the first and the last moment at which calls were held back ('' if never), by what; now (ms)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local api = calls_of(KEYS[1], now, 1, 1)
local held = redis.call('HMGET', KEYS[1], 'held_from', 'held_at', 'held_by', 'errcode')
return { api.minute, api.hour, math.max(0, api.blocked_until - now), api.refusals, tonumber(held[4] or 0),
  held[1] or '', held[2] or '', held[3] or '', now }
