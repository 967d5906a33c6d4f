-- Write what became of an event. The first outcome stays; only `sent`, which is WeCom's own word, replaces another:
-- the answer that was thought lost arrived after all.
-- In the same step: the index sets, the missed customers, the day's tallies, the follow-up; and a full add hastens what
-- waits for it.
-- KEYS  as they are named below
-- ARGV  id, number of pairs n, n × (field, value) of the row, number of counts m, m × (field of `counters`, amount),
--       then as they are named below
-- → 1 written, 0 there was an outcome already, or no row
local call = redis.call
local row, due, counters, followup_due, followup_awaited, to_do, of_customer, with_outcome, with_template, forward_new =
  unpack(KEYS) -- to_do: the missed; of_customer, with_…: index sets of the customer, this outcome and this template
local id, said = ARGV[1], {}
local pairs_end = 2 + 2 * ARGV[2]
local counters_end = pairs_end + 1 + 2 * ARGV[pairs_end + 1]
for i = 3, pairs_end, 2 do
  said[ARGV[i]] = ARGV[i + 1]
end
local outcome = said['outcome']
local known = call('HMGET', row, 'received_at', 'outcome', 'rehearsal', 'app', 'user_id', 'external_user_id', 'state',
  'change', 'template')
local received_at, before, rehearsal, app, member, customer, channel, change, old_template = unpack(known)
if not tonumber(received_at) then -- forgotten, past its life, or damaged
  call('ZREM', due, id)
  return 0
end
if before and (before == 'sent' or outcome ~= 'sent') then
  return 0
end
local follow_up, missed, greeting, -- '1' if it is followed up, if its outcome is a missed one or a greeting, else ''
  rows, of_outcome, of_template, tallies, -- prefixes: rows, indexes of outcomes and of templates, the app's tallies
  tally_life, tally_most, value_most, -- of tallies: their life (s), most fields in one, most bytes of a value
  ahead, -- seconds of local time before UTC
  bucket, life, pace, -- bucket of the latency, or ''; a row's life (s); finer bucket of the latency, or ''
  forwards, course -- '1' if the app forwards events, else ''; field with what this worker had recorded so far
  = unpack(ARGV, counters_end + 1, counters_end + 16)
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Add to a count. One that is no number begins anew, or it would stop this script halfway.
local function increased(key, field, amount)
  local count = redis.pcall('HINCRBY', key, field, amount)
  if type(count) == 'number' then return count end
  call('HSET', key, field, amount)
  return tonumber(amount)
end

-- Count an outcome, and what goes with it, under the local day of the receipt. See tasks.ledger.statistics.
local function tally(amount, outcome, template, rule, variant, cause, latency, finer)
  local at = math.floor(received_at / 1000) + ahead
  local prefix = tallies .. math.floor(at / 86400) .. ':'
  local function add(dimension, value)
    local key, none = prefix .. dimension, outcome
    local field = #value > tonumber(value_most) and none or none .. '|' .. value
    if amount < 0 then
      increased(key, call('HEXISTS', key, field) == 1 and field or none, amount)
    elseif increased(key, field, amount) == 1 then -- perhaps a new field
      local size = call('HLEN', key)
      if size == 1 then
        call('EXPIRE', key, tally_life)
      elseif size > tonumber(tally_most) and field ~= none then -- there is no room for it
        call('HDEL', key, field)
        increased(key, none, amount)
      end
    end
  end
  local hour = string.format('%02d', math.floor(at % 86400 / 3600))
  add('hour', hour)
  add('channel', channel)
  add('member', member)
  add('template', template or '')
  if variant then add('variant', #(rule or '') .. '|' .. (rule or '') .. variant) end
  if outcome ~= 'sent' then add('cause', cause or '') end
  if latency ~= '' then add('latency', latency) end
  if finer ~= '' then add('pace', hour .. '|' .. finer) end
end

if before then
  local was = call('HMGET', row, 'rule', 'variant', 'errcode', 'cause', 'worker', 'steps', 'try_reasons')
  if rehearsal ~= '1' then tally(-1, before, old_template, was[1], was[2], was[3] or was[4], '', '') end
  call('ZREM', of_template .. (old_template or ''), id)
  call('ZREM', to_do, id)
  if was[6] and was[5] ~= '0' then -- what the worker recorded whose outcome is replaced
    call('HSET', row, 'course_' .. (was[5] or '1'), '{"steps":' .. was[6] .. ',"tries":' .. (was[7] or '[]') .. '}')
  end
  call('HDEL', row, 'reason', 'errcode', 'cause', 'template', 'rule', 'variant', 'greeted_later', 'lifeboat', 'worker')
end
call('ZREM', of_outcome .. (before or ''), id)
call('HSET', row, unpack(ARGV, 3, pairs_end))
call('HDEL', row, 'welcome_code', course) -- a one-use secret: gone with its use; `steps` has all of the course
call('ZREM', due, id)
call('ZADD', with_outcome, received_at, id)
call('ZADD', with_template, received_at, id)
for _, set in ipairs({ with_outcome, with_template }) do
  if call('TTL', set) < tonumber(life) then call('EXPIRE', set, life) end -- as in accept.lua
end

if rehearsal ~= '1' then
  tally(1, outcome, said['template'], said['rule'], said['variant'], said['errcode'] or said['cause'], bucket, pace)
  -- A missed customer is to be greeted by hand, unless another event of the same two, received later, was a greeting.
  local function each_other(range, from, to, act)
    for _, other in ipairs(call(range, of_customer, from, to, 'LIMIT', 0, 50)) do
      local its = call('HMGET', rows .. other, 'user_id', 'outcome', 'rehearsal', 'lost_at')
      if other ~= id and its[1] == member and its[3] ~= '1' then act(other, its[2], its[4]) end
    end
  end
  if not before and call('ZCARD', of_customer) > 1 then -- has this customer left this member before?
    local again
    each_other('ZREVRANGEBYSCORE', received_at, '-inf', function(other, became, lost)
      if lost and not again then again = other end
      if became == 'not_transferred' and call('ZREM', to_do, other) == 1 then -- contacts now, greeted or not
        call('HSET', rows .. other, 'greeted_later', id)
      end
    end)
    if again then
      call('HSET', row, 'added_again', again)
      local key = tallies .. math.floor((math.floor(received_at / 1000) + ahead) / 86400) .. ':again'
      if increased(key, 'added', 1) == 1 then call('EXPIRE', key, tally_life) end
    end
  end
  if missed == '1' then
    local later
    each_other('ZRANGEBYSCORE', received_at, '+inf', function(other, became)
      if became == 'sent' or became == 'unconfirmed' then later = later or other end
    end)
    if later then
      call('HSET', row, 'greeted_later', later)
    else
      call('ZADD', to_do, received_at, id)
    end
  elseif greeting == '1' and call('ZCARD', of_customer) > 1 then
    each_other('ZREVRANGEBYSCORE', received_at, '-inf', function(other)
      if call('ZREM', to_do, other) == 1 then call('HSET', rows .. other, 'greeted_later', id) end
    end)
  end
end

if not before then
  if forwards == '1' and rehearsal ~= '1' then call('RPUSH', forward_new, 'event:' .. id) end
  for i = pairs_end + 2, counters_end, 2 do
    increased(counters, ARGV[i], ARGV[i + 1])
  end
  if follow_up == '1' then
    call('HSET', row, 'follow_state', 'waiting', 'follow_claims', 0, 'follow_attempts', 0, 'follow_next_at', now)
    call('ZADD', followup_due, now, id)
  end
  if change == 'add' then
    local pair = table.concat({ app, member, customer }, '|')
    local waits = call('HGET', followup_awaited, pair)
    if waits then
      call('HDEL', followup_awaited, pair)
      call('ZADD', followup_due, 'XX', now, waits)
    end
  end
end
return 1
