-- Have customers tagged: enter the wanted tags in their rows, due now, and queue a message on the slow queue.
-- What a row still waits for stays wanted; a worker that is at it has lost its claim, and the row is done again.
-- KEYS  as they are named below
-- ARGV  as they are named below, then ids
-- → the ids that will be tagged
local call = redis.call
local due, slow_queue, woken = unpack(KEYS)
local rows, wanted_app, by = ARGV[1], ARGV[2], ARGV[3] -- prefix of rows; by: who asked for it
local asked = ARGV[4] -- the tags, as JSON: [[group, name], ...]
local most_messages, message, pause = tonumber(ARGV[5]), ARGV[6], ARGV[7] -- that wait; ms between two
local IDS = 8 -- from here on
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local result = {}
for i = IDS, #ARGV do
  local row = rows .. ARGV[i]
  local app, outcome, rehearsal, state, wanted =
    unpack(call('HMGET', row, 'app', 'outcome', 'rehearsal', 'tagging_state', 'tagging_wanted'))
  if app == wanted_app and outcome and outcome ~= '' and rehearsal ~= '1' then
    local tags, there = cjson.decode(asked), {}
    for _, tag in ipairs(tags) do there[cjson.encode(tag)] = true end
    if state == 'waiting' and wanted then
      for _, tag in ipairs(cjson.decode(wanted)) do
        if not there[cjson.encode(tag)] then tags[#tags + 1] = tag end
      end
    end
    call('HINCRBY', row, 'tagging_claims', 1)
    call('HSET', row, 'tagging_state', 'waiting', 'tagging_wanted', cjson.encode(tags), 'tagging_by', by,
      'tagging_asked_at', now, 'tagging_attempts', 0, 'tagging_next_at', now)
    call('HDEL', row, 'tagging_reason', 'tagging_tried_at')
    call('ZADD', due, now, ARGV[i])
    result[#result + 1] = ARGV[i]
  end
end
if #result > 0 and call('LLEN', slow_queue) < most_messages then
  if call('SET', woken, now, 'NX', 'PX', pause) then
    call('LPUSH', slow_queue, message)
  end
end
return result
