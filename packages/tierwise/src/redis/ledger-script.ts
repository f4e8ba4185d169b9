import {
  BOOKED_ID_MS,
  CLOSED_ID_MS,
  KEPT_AFTER_USE_MS,
  LATE_CLOSING_MS,
  SWEEP_AT_MOST,
} from "../budget/ledger-engine.ts"

/** Of what the script keeps. A ledger of another version is refused. */
export const SCHEMA_VERSION = "1"

/** A time that never comes. */
export const NEVER: number = 2 ** 53

/** After how long an expired hold that could not be booked is tried again, ms. */
const LOOK_AGAIN_MS = 60_000

/** One more than the places where something waits to be entered. */
const PLACES = 94

/** Whether a counter is one that the script can have written. */
const SOUND = `held >= 0 and spent + held <= ${Number.MAX_SAFE_INTEGER} and unconfirmed >= 0 and unconfirmed <= spent
    and overrun >= 0 and overrun <= spent and warned >= 0 and forget >= 0
    and spent % 1 + held % 1 + unconfirmed % 1 + overrun % 1 + warned % 1 + forget % 1 == 0`

/**
 * Every step of a ledger in Redis, as one Lua script: Redis runs it whole, with nothing in between.
 *
 * KEYS are all it touches, so that it runs on a cluster too: 1 the ledger (hash), 2 the live holds by when they expire
 * and 3 what may be dropped by when (sorted sets, whose members are fields of 1). The hash has
 * - `version`: the schema, a space, and the print of the limits; `limits`: the limits;
 * - `count:<key>`: spent, held, unconfirmed, overrun, warned, and until when it is kept;
 * - `hold:<id>`: 1 (held) or 2 (unconfirmed), when it expires, its place; then, as text, money and tokens, on the next line
 *   the request, and on a line each the counters as in ARGV. Or 3 (closed), and until when the id is remembered;
 * - `wait:<place>`: what is to be entered in key 2 or 3: that number, when, and the field;
 * - `state`: before when no hold expires, and how many places were ever taken. They are `!` to `}` in turn, and before there
 *   is none left all that wait are entered.
 *
 * To write to a second key costs as much as all that a step reads and reckons. So most write to the hash alone, and a hold
 * that is closed soon is never entered.
 *
 * ARGV: 1 the step, 2 the time in ms or nothing for the server's, then what the step needs. A counter is `m` or `t` for
 * its unit, until when it is kept, and its field, with a space between. The answer is a list.
 *
 * Numbers are integers up to 2^53, which Lua's doubles hold exactly, and are kept as such, the low byte first: text takes
 * longer to write and to read. The time 2^53 never comes.
 */
export const LEDGER_SCRIPT: string = String.raw`
local name, ledger, due, old = ARGV[1], KEYS[1], KEYS[2], KEYS[3]
local call, tonumber = redis.call, tonumber
local now = tonumber(ARGV[2])
if not now then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Most calls end at the first attempt: what is plain meets nothing in its way, not even a function. Where something else
-- comes first, it is done below, and the plain part is tried once more.
for attempt = 1, 2 do

-- ARGV: 3 version, 4 how long it lives, 5 from and 6 to when the counters count, 7 the hold as it is kept, from its money
-- on; for each counter its share, its limit, until when it is kept; the field of the hold, and of each counter
if name == 'reserve' then
  local first = 8 + (#ARGV - 8) / 4 * 3
  local kept = call('HMGET', ledger, 'version', 'state', unpack(ARGV, first))
  local soonest, taken = 0, 0
  if kept[2] and #kept[2] == 16 then soonest, taken = struct.unpack('<dd', kept[2]) end
  local isPlain = kept[1] == ARGV[3] and not kept[3] and now >= tonumber(ARGV[5]) and now < tonumber(ARGV[6])
    and (now < soonest or attempt == 2) and taken >= 0 and taken % 1 == 0
  local changes, n = {}, 0
  for i = 1, isPlain and #ARGV - first or 0 do
    local field, value, at = ARGV[first + i], kept[i + 3], 5 + i * 3
    local spent, held, unconfirmed, overrun, warned, forget = 0, 0, 0, 0, 0, 0
    if value and #value == 48 then
      spent, held, unconfirmed, overrun, warned, forget = struct.unpack('<dddddd', value)
    end
    isPlain = isPlain and (not value or #value == 48) and ${SOUND}
    if not isPlain then break end
    local share, limit, wanted = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    if share > 0 and spent + held + share > limit then
      return {'refused', field, string.format('%.0f %.0f %.0f %.0f %.0f', spent, held, unconfirmed, overrun, warned)}
    end
    if wanted > forget then forget = wanted end
    if not value and forget < ${NEVER} then
      -- The last place is the hold's.
      if taken % ${PLACES} < ${PLACES - 2} then
        taken = taken + 1
        changes[n + 1] = 'wait:' .. string.char(32 + taken % ${PLACES})
        changes[n + 2] = struct.pack('<Bdc0', 3, forget, field)
        n = n + 2
      else
        call('ZADD', old, string.format('%.0f', forget), field)
      end
    end
    changes[n + 1] = field
    changes[n + 2] = struct.pack('<dddddd', spent, held + share, unconfirmed, overrun, warned, forget)
    n = n + 2
  end
  taken = taken + 1
  if isPlain and taken % ${PLACES} > 0 then
    local id, expiresAt = ARGV[first], now + tonumber(ARGV[4])
    if expiresAt < soonest then soonest = expiresAt end
    call('HSET', ledger, 'state', struct.pack('<dd', soonest, taken),
      'wait:' .. string.char(32 + taken % ${PLACES}), struct.pack('<Bdc0', 2, expiresAt, id),
      id, struct.pack('<Bddc0', 1, expiresAt, taken, ARGV[7]), unpack(changes))
    return {'granted', expiresAt}
  end
end

local function told(step)
  local isDone, answer = pcall(step)
  if isDone or type(answer) == 'table' then return answer end
  return redis.error_reply(answer)
end

local function broken(field, value)
  error({'broken', field, value or 'nothing'})
end

local function integer(n)
  return string.format('%.0f', n)
end

-- As it is told: not every client reads an integer of 16 digits without an error.
local function textOf(spent, held, unconfirmed, overrun, warned)
  return string.format('%.0f %.0f %.0f %.0f %.0f', spent, held, unconfirmed, overrun, warned)
end

-- Spent, held, unconfirmed, overrun, warned, and until when it is kept.
local function countFrom(field, value)
  if not value then return 0, 0, 0, 0, 0, 0 end
  if #value ~= 48 then broken(field, value) end
  local spent, held, unconfirmed, overrun, warned, forget = struct.unpack('<dddddd', value)
  if ${SOUND} then return spent, held, unconfirmed, overrun, warned, forget end
  broken(field, table.concat({spent, held, unconfirmed, overrun, warned, forget}, ' '))
end

-- Before when no hold expires, and how many places were taken.
local function stateFrom(value)
  if not value or #value ~= 16 then broken('state', value) end
  local soonest, taken = struct.unpack('<dd', value)
  if soonest >= 0 and taken >= 0 and taken % 1 == 0 then return soonest, taken end
  broken('state', soonest .. ' ' .. taken)
end

-- State and time of a hold; unless it is closed its place, money and tokens, and of each counter the unit, until when it is
-- kept, and the field.
local function holdFrom(id, value)
  local state, at, place = 0, 0, 0
  if #value == 9 then state, at = struct.unpack('<Bd', value) end
  if state == 3 then return state, at end
  if #value > 17 then state, at, place = struct.unpack('<Bdd', value) end
  local money, tokens, lines = string.match(value, '^(%d+) (%d+)\n[^\n]*\n(.*)$', 18)
  if not money or state ~= 1 and state ~= 2 then broken(id, value) end
  money, tokens = tonumber(money), tonumber(tokens)
  local units, ends, fields, bytes = {}, {}, {}, 0
  for unit, forget, field in string.gmatch(lines, '([mt]) (%d+) ([^\n]+)\n') do
    local i = #fields + 1
    units[i], ends[i], fields[i] = unit, tonumber(forget), field
    bytes = bytes + #forget + #field + 4
  end
  if bytes ~= #lines or money > ${Number.MAX_SAFE_INTEGER} or tokens > ${Number.MAX_SAFE_INTEGER} then
    broken(id, value)
  end
  return state, at, place, money, tokens, units, ends, fields
end

local function valuesOf(fields)
  if #fields == 0 then return {} end
  return call('HMGET', ledger, unpack(fields))
end

-- A counter that was dropped since it was held in is no loss: nobody reads it any more.
local function checkDropped(field, forget)
  if forget > now then broken(field) end
end

-- Nothing is booked that Lua or JavaScript could not count, neither now nor when what is held is spent.
local function checkBooked(spent, held, unit)
  if spent + held > ${Number.MAX_SAFE_INTEGER} then error({'beyond', unit}) end
end

-- Whether a hold that took this place still waits in it.
local function isWaiting(place, taken)
  return place > taken - taken % ${PLACES}
end

-- ARGV: 3 the hold's field, 4 money, 5 tokens. Nothing is answered where something else comes first.
local function close()
  local id, answer, changes = ARGV[3], {'unknown'}, {}
  local kept = call('HMGET', ledger, 'version', 'state', id)
  if string.sub(kept[1] or '', 1, ${SCHEMA_VERSION.length + 1}) ~= '${SCHEMA_VERSION} ' then return nil end
  local soonest, taken = stateFrom(kept[2])
  if now >= soonest and attempt == 1 then return nil end

  local state, expiresAt, place, money, tokens, units, ends, fields
  if kept[3] then state, expiresAt, place, money, tokens, units, ends, fields = holdFrom(id, kept[3]) end
  if state == 1 and expiresAt + ${LATE_CLOSING_MS} <= now and attempt == 1 then return nil end
  if state and state ~= 3 and expiresAt + ${LATE_CLOSING_MS} > now then
    answer = {'closed', (state == 2 or expiresAt <= now) and 'late' or 'live', integer(money), integer(tokens)}
    for i, value in ipairs(valuesOf(fields)) do
      local field, unit = fields[i], units[i]
      if value then
        local quoted, cost = money, tonumber(ARGV[4])
        if unit == 't' then quoted, cost = tokens, tonumber(ARGV[5]) end
        local spent, held, unconfirmed, overrun, warned, forget = countFrom(field, value)
        if state == 1 then
          held = held - quoted
        else
          spent, unconfirmed = spent - quoted, unconfirmed - quoted
        end
        if held < 0 or unconfirmed < 0 then broken(field, 'less than the hold') end
        spent = spent + cost
        if cost > quoted then overrun = overrun + cost - quoted end
        checkBooked(spent, held, unit)
        forget = math.max(forget, now + ${KEPT_AFTER_USE_MS})
        changes[#changes + 1] = field
        changes[#changes + 1] = struct.pack('<dddddd', spent, held, unconfirmed, overrun, warned, forget)
        answer[#answer + 1] = field
        answer[#answer + 1] = textOf(spent, held, unconfirmed, overrun, warned)
      else
        checkDropped(field, ends[i])
      end
    end
  end

  -- In the place of the hold, if it still waits, or in the next one.
  if state ~= 1 or not isWaiting(place, taken) then
    place = taken + 1
    if place % ${PLACES} == 0 then return nil end
    if state == 1 then call('ZREM', due, id) end
    taken = place
  end
  -- What is closed already may have been booked, and is remembered for longer.
  local forget = now + ${CLOSED_ID_MS}
  if state == 3 and expiresAt > forget then forget = expiresAt end
  call('HSET', ledger, 'state', struct.pack('<dd', soonest, taken),
    'wait:' .. string.char(32 + place % ${PLACES}), struct.pack('<Bdc0', 3, forget, id),
    id, struct.pack('<Bd', 3, forget), unpack(changes))
  return answer
end

if name == 'close' then
  local answer = told(close)
  if answer then return answer end
end
-- Most steps have ended by now. What only others need is not even defined before.

local function put(list, ...)
  for _, value in ipairs({...}) do list[#list + 1] = value end
end

-- A list may be longer than what Lua can pass at once.
local function send(command, key, list)
  for first = 1, #list, 1000 do
    call(command, key, unpack(list, first, math.min(first + 999, #list)))
  end
end

local function checkVersion(version)
  if not version then error({'lost'}) end
  local schema = string.match(version, '^%S*')
  if schema ~= '${SCHEMA_VERSION}' then error({'version', schema}) end
end

-- Until when a field is kept.
local function keptUntil(field, value)
  if string.sub(field, 1, 6) == 'count:' then
    local spent, held, unconfirmed, overrun, warned, forget = countFrom(field, value)
    return held > 0 and now + ${KEPT_AFTER_USE_MS} or forget
  end
  local state, at = holdFrom(field, value)
  if state == 1 then return ${NEVER} end
  return state == 2 and at + ${LATE_CLOSING_MS} or at
end

-- What is over is dropped bit by bit, but faster than it comes.
local function drop()
  local fields = call('ZRANGEBYSCORE', old, '-inf', integer(now), 'LIMIT', 0, ${2 * PLACES})
  local over, done, later = {}, {}, {}
  for i, value in ipairs(valuesOf(fields)) do
    local field, isSound, at = fields[i], true, 0
    if value then isSound, at = pcall(keptUntil, field, value) end
    if not isSound then at = now + ${LOOK_AGAIN_MS} end
    if at <= now then over[#over + 1] = field end
    if at <= now or at == ${NEVER} then done[#done + 1] = field else put(later, integer(at), field) end
  end
  send('ZREM', old, done)
  send('ZADD', old, later)
  send('HDEL', ledger, over)
end

-- Enters all that wait, and begins with the first place again.
local function enter(soonest, taken)
  local places, dues, olds = {}, {}, {}
  for place = 1, taken % ${PLACES} do places[place] = 'wait:' .. string.char(32 + place) end
  for i, value in ipairs(valuesOf(places)) do
    if not value or #value < 10 then broken(places[i], value) end
    local key, at = struct.unpack('<Bd', value)
    local list = key == 2 and dues or olds
    list[#list + 1] = integer(at)
    list[#list + 1] = string.sub(value, 10)
  end
  send('ZADD', old, olds)
  send('ZADD', due, dues)
  call('HSET', ledger, 'state', struct.pack('<dd', soonest, taken - taken % ${PLACES} + ${PLACES}))
end

-- What a hold that expires makes of its counters, and when it did.
local function expireHold(id, value, counts)
  local state, expiresAt, place, money, tokens, units, ends, fields = holdFrom(id, value)
  if state == 3 then return nil end
  if state == 2 then broken(id, value) end
  local after = {}
  for i, value in ipairs(valuesOf(fields)) do
    local field, quoted = fields[i], units[i] == 't' and tokens or money
    value = counts[field] or value
    if value then
      local spent, held, unconfirmed, overrun, warned, forget = countFrom(field, value)
      if held < quoted then broken(field, 'less than the hold') end
      forget = math.max(forget, now + ${KEPT_AFTER_USE_MS})
      after[field] =
        struct.pack('<dddddd', spent + quoted, held - quoted, unconfirmed + quoted, overrun, warned, forget)
    else
      checkDropped(field, ends[i])
    end
  end
  for field, count in pairs(after) do counts[field] = count end
  return expiresAt
end

-- Holds that nobody closed in time are booked at their quote. One that cannot be stays held, and stops nobody else: who
-- closes it is told, and it is looked at again.
local function expire(taken)
  local ids = call('ZRANGEBYSCORE', due, '-inf', integer(now), 'LIMIT', 0, ${SWEEP_AT_MOST})
  local counts, changes, ended, later, olds = {}, {}, {}, {}, {}
  for i, value in ipairs(valuesOf(ids)) do
    local id, isBooked, expiresAt = ids[i], true, nil
    if value then isBooked, expiresAt = pcall(expireHold, id, value, counts) end
    if not isBooked then
      put(later, integer(now + ${LOOK_AGAIN_MS}), id)
    else
      put(ended, id)
      if expiresAt then
        put(changes, id, string.char(2) .. string.sub(value, 2))
        put(olds, integer(expiresAt + ${LATE_CLOSING_MS}), id)
      end
    end
  end
  send('ZADD', old, olds)
  send('ZADD', due, later)
  send('ZREM', due, ended)
  local soonest = tonumber(call('ZRANGE', due, 0, 0, 'WITHSCORES')[2] or ${NEVER})
  put(changes, 'state', struct.pack('<dd', soonest, taken))
  for field, value in pairs(counts) do put(changes, field, value) end
  send('HSET', ledger, changes)
end

-- What comes before a step: what has expired is booked, and there is a place to wait in.
local function prepare()
  local kept = call('HMGET', ledger, 'version', 'state')
  checkVersion(kept[1])
  local soonest, taken = stateFrom(kept[2])
  local isDue = now >= soonest
  if not isDue and taken % ${PLACES} < ${PLACES - 1} then return end
  if taken % ${PLACES} > 0 then
    enter(soonest, taken)
    taken = taken - taken % ${PLACES} + ${PLACES}
  end
  if isDue then expire(taken) end
  drop()
end

local function isOutside(from, to)
  return now < tonumber(from) or now >= tonumber(to)
end

-- Units of the counters that stand in ARGV from there on, until when they are kept, their fields.
local function countersFrom(first)
  local units, ends, fields = {}, {}, {}
  for i = first, #ARGV do
    local unit, forget, field = string.match(ARGV[i], '^([mt]) (%d+) ([^\n]+)')
    put(units, unit)
    put(ends, tonumber(forget))
    put(fields, field)
  end
  return units, ends, fields
end

local steps = {}

-- ARGV: 3 version, 4 limits, 5 whether they replace others
function steps.open()
  local info = redis.pcall('INFO', 'memory')
  local policy = type(info) == 'string' and string.match(info, 'maxmemory_policy:(allkeys%S*)')
  if policy and not string.find(info, 'maxmemory:0%s') then return {'evicting', policy} end
  local kept = call('HMGET', ledger, 'version', 'limits')
  if kept[1] then
    checkVersion(kept[1])
    if kept[1] == ARGV[3] then return {'open'} end
    if ARGV[5] ~= 'replace' then return {'other-limits', kept[2] or ''} end
    call('HSET', ledger, 'version', ARGV[3], 'limits', ARGV[4])
  else
    if call('EXISTS', ledger) == 1 then broken('version') end
    -- What a ledger that is gone has left behind.
    call('DEL', due, old)
    call('HSET', ledger, 'version', ARGV[3], 'limits', ARGV[4], 'state', struct.pack('<dd', ${NEVER}, 0))
  end
  return {'open'}
end

function steps.reserve()
  prepare()
  local fields = {'version', unpack(ARGV, 8 + (#ARGV - 8) / 4 * 3)}
  local values = valuesOf(fields)
  if values[1] ~= ARGV[3] then return {'other-limits'} end
  if values[2] then
    local state, expiresAt = holdFrom(fields[2], values[2])
    local request = '\n([^\n]*)'
    if state == 3 or string.match(values[2], request, 18) ~= string.match(ARGV[7], request) then return {'taken'} end
    return {'granted', expiresAt}
  end
  if isOutside(ARGV[5], ARGV[6]) then return {'turned', now} end
  for i = 3, #fields do countFrom(fields[i], values[i]) end
  return nil
end

function steps.close()
  prepare()
  -- No sweep has come to it yet, and when it is closed none will.
  local id = ARGV[3]
  local value = call('HGET', ledger, id)
  local state, expiresAt = 3, 0
  if value then state, expiresAt = holdFrom(id, value) end
  if state == 1 and expiresAt + ${LATE_CLOSING_MS} <= now then
    local changes = {}
    expireHold(id, value, changes)
    for field, count in pairs(changes) do call('HSET', ledger, field, count) end
  end
  return nil
end

-- ARGV: 3 the hold's field, 4 how long it lives from now on
function steps.extend()
  prepare()
  local id = ARGV[3]
  local kept = call('HMGET', ledger, 'state', id)
  if not kept[2] then return {'gone'} end
  local state, expiresAt, place = holdFrom(id, kept[2])
  if state ~= 1 or expiresAt <= now then return {'gone'} end
  local soonest, taken = stateFrom(kept[1])
  expiresAt = now + tonumber(ARGV[4])
  local changes = {'state', struct.pack('<dd', math.min(soonest, expiresAt), taken)}
  put(changes, id, struct.pack('<Bddc0', 1, expiresAt, place, string.sub(kept[2], 18)))
  if isWaiting(place, taken) then
    put(changes, 'wait:' .. string.char(32 + place % ${PLACES}), struct.pack('<Bdc0', 2, expiresAt, id))
  else
    call('ZADD', due, integer(expiresAt), id)
  end
  send('HSET', ledger, changes)
  return {'extended'}
end

-- ARGV: 3 field of what is booked, as of a hold, 4 money, 5 tokens, 6 from and 7 to when the counters count, 8… counters
function steps.book()
  prepare()
  local id, units, ends, fields = ARGV[3], countersFrom(8)
  local values = valuesOf({id, unpack(fields)})
  if isOutside(ARGV[6], ARGV[7]) then return {'turned', now} end
  local isKnown, forgetId = values[1], now + ${BOOKED_ID_MS}
  local answer, olds, changes = {'booked'}, {integer(forgetId), id}, {id, struct.pack('<Bd', 3, forgetId)}
  for i, field in ipairs(fields) do
    local value = values[i + 1]
    local spent, held, unconfirmed, overrun, warned, forget = countFrom(field, value)
    if not isKnown then
      local cost = tonumber(units[i] == 't' and ARGV[5] or ARGV[4])
      spent, overrun = spent + cost, overrun + cost
      checkBooked(spent, held, units[i])
      forget = math.max(forget, ends[i])
      if not value and forget < ${NEVER} then put(olds, integer(forget), field) end
      put(changes, field, struct.pack('<dddddd', spent, held, unconfirmed, overrun, warned, forget))
    end
    put(answer, field, textOf(spent, held, unconfirmed, overrun, warned))
  end
  if not isKnown then
    send('ZADD', old, olds)
    send('HSET', ledger, changes)
    drop()
  end
  return answer
end

-- ARGV: 3 from and 4 to when the counters count, 5… counters
function steps.read()
  prepare()
  local units, ends, fields = countersFrom(5)
  if isOutside(ARGV[3], ARGV[4]) then return {'turned', now} end
  local answer = {'read'}
  for i, value in ipairs(valuesOf(fields)) do
    local spent, held, unconfirmed, overrun, warned = countFrom(fields[i], value)
    put(answer, fields[i], textOf(spent, held, unconfirmed, overrun, warned))
  end
  return answer
end

-- ARGV: 3 level, 4 counter
function steps.claim()
  prepare()
  local units, ends, fields = countersFrom(4)
  local value, level = valuesOf(fields)[1], tonumber(ARGV[3])
  local spent, held, unconfirmed, overrun, warned, forget = countFrom(fields[1], value)
  if not value or warned ~= level - 1 then return {'told'} end
  call('HSET', ledger, fields[1], struct.pack('<dddddd', spent, held, unconfirmed, overrun, level, forget))
  return {'claimed'}
end

local answer = told(steps[name])
if answer then return answer end

end
`
