-- Have customers tagged: enter the wanted tags in their rows, due now, and queue a message on the slow queue.
-- What a row still waits for stays wanted; a worker that is at it has lost its claim, and the row is done again.
-- KEYS  due taggings, the slow queue, woken
-- ARGV  prefix of rows, app, by, the tags as JSON [[group, name], ...], limit of waiting messages, the message,
--       pause (ms) between two messages, then ids
-- → the ids that will be tagged
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local result = {}
for i = 8, #ARGV do
  local row = ARGV[1] .. ARGV[i]
  local app, outcome, rehearsal, state, wanted =
    unpack(call('HMGET', row, 'app', 'outcome', 'rehearsal', 'tagging_state', 'tagging_wanted'))
  if app == ARGV[2] and outcome and outcome ~= '' and rehearsal ~= '1' then
    local tags, there = cjson.decode(ARGV[4]), {}
    for _, tag in ipairs(tags) do there[cjson.encode(tag)] = true end
    if state == 'waiting' and wanted then
      for _, tag in ipairs(cjson.decode(wanted)) do
        if not there[cjson.encode(tag)] then tags[#tags + 1] = tag end
      end
    end
    call('HINCRBY', row, 'tagging_claims', 1)
    call('HSET', row, 'tagging_state', 'waiting', 'tagging_wanted', cjson.encode(tags), 'tagging_by', ARGV[3],
      'tagging_asked_at', now, 'tagging_attempts', 0, 'tagging_next_at', now)
    call('HDEL', row, 'tagging_reason', 'tagging_tried_at')
    call('ZADD', KEYS[1], now, ARGV[i])
    result[#result + 1] = ARGV[i]
  end
end
if #result > 0 and call('LLEN', KEYS[2]) < tonumber(ARGV[5]) then
  if call('SET', KEYS[3], now, 'NX', 'PX', ARGV[7]) then
    call('LPUSH', KEYS[2], ARGV[6])
  end
end
return result
