/** How long what is over is remembered, ms: whoever was idle meanwhile can still learn of it. */
const KEPT_MS = 3_600_000

/** Beyond it what changed longest ago is forgotten. */
const MOST_RECORDS = 10_000

/** Redis was set back if what is written comes from so far ahead, ms. Less may be a replica that took over. */
const CLOCK_STEP_MS = 1_000

/** How much one answer tells at most; the next one goes on. */
const MOST_CHANGES = 1_000

/**
 * Every step of shared health, as one Lua script: Redis runs it whole, with nothing in between.
 *
 * KEYS are all it touches: 1 the records (hash), 2 their fields by version (sorted set). The hash has `version`, the latest
 * one, and
 * - `c:<key>`, a circuit: version, when it was written, until when it is kept, open or closed, open until, failed probes,
 *   until when the place of the probe is taken, and the name of the probe that had it last or told how it ended;
 * - `p:<key>`, a cooldown: version, when it was written, until when it is kept, its end (0: it was called off), and why.
 *
 * A version is the time of the change in µs, or one more than the latest if that is more: a Redis that was emptied goes on
 * above what it has told. What was written at a time to come, before the clock was set back, is over: else all would wait for
 * that time. Both keys expire when nothing in them is of use any more.
 *
 * ARGV: 1 the step, 2 the target's key, then what the step needs. Times are in ms; the answer tells durations.
 */
export const HEALTH_SCRIPT: string = `
local step, key, records, changes = ARGV[1], ARGV[2], KEYS[1], KEYS[2]
local call, tonumber, max = redis.call, tonumber, math.max
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function integer(n)
  return string.format('%.0f', n)
end

local function left(at)
  return integer(max(0, at - now))
end

local function latest()
  return tonumber(call('HGET', records, 'version') or 0) or 0
end

local function forget()
  local tooMany = call('ZCARD', changes) - ${MOST_RECORDS}
  for _, field in ipairs(call('ZRANGE', changes, 0, 9)) do
    local keptUntil = string.match(call('HGET', records, field) or '', '^%d+ %d+ (%d+) ')
    if tooMany > 0 or not keptUntil or tonumber(keptUntil) < now then
      call('HDEL', records, field)
      call('ZREM', changes, field)
      tooMany = tooMany - 1
    end
  end
end

local function write(field, keptUntil, text)
  local version = max(latest() + 1, time[1] * 1000000 + time[2])
  local record = table.concat({integer(version), integer(now), integer(keptUntil), text}, ' ')
  call('HSET', records, 'version', integer(version), field, record)
  call('ZADD', changes, integer(version), field)
  forget()
  for _, kept in ipairs(KEYS) do
    if call('PTTL', kept) < keptUntil - now then call('PEXPIRE', kept, integer(keptUntil - now)) end
  end
  return version
end

local function ending(writtenAt, at)
  if tonumber(writtenAt) > now + ${CLOCK_STEP_MS} then return math.min(tonumber(at), now) end
  return tonumber(at)
end

local function circuitOf(key)
  local version, at, state, openUntil, failed, probeUntil, probe =
    string.match(call('HGET', records, 'c:' .. key) or '', '^(%d+) (%d+) %d+ (%a+) (%d+) (%d+) (%d+) (.*)$')
  if not version then return nil end
  return {
    version = tonumber(version), state = state, openUntil = ending(at, openUntil), failed = tonumber(failed),
    probeUntil = ending(at, probeUntil), probe = probe,
  }
end

local function circuitAnswer(outcome, key, c)
  local failed, probeFor = integer(c.failed), left(c.probeUntil)
  return {outcome, key, integer(c.version), c.state, left(c.openUntil), failed, probeFor, c.probe}
end

local function writeCircuit(outcome, state, openUntil, failed, probeUntil, probe)
  local keptUntil = max(now, openUntil, probeUntil) + ${KEPT_MS}
  local text = table.concat({state, integer(openUntil), integer(failed), integer(probeUntil), probe}, ' ')
  local version = write('c:' .. key, keptUntil, text)
  return circuitAnswer(outcome, key, {
    version = version, state = state, openUntil = openUntil, failed = failed, probeUntil = probeUntil, probe = probe,
  })
end

-- Nobody is let in: for a while, or because somebody finds out just now.
local function isTaken(c)
  return c.state == 'open' and (c.openUntil > now or c.probeUntil > now)
end

local function pauseOf(key)
  local version, at, ends, because =
    string.match(call('HGET', records, 'p:' .. key) or '', '^(%d+) (%d+) %d+ (%d+) (.*)$')
  if not version then return nil end
  return {version = tonumber(version), ends = ending(at, ends), because = because}
end

local function pauseAnswer(key, p)
  local isCalledOff = p.version > 0 and p.ends == 0
  return {'pause', key, integer(p.version), left(p.ends), isCalledOff and 1 or 0, p.because}
end

local function writePause(ends, keptUntil, because)
  local version = write('p:' .. key, keptUntil, integer(ends) .. ' ' .. because)
  return pauseAnswer(key, {version = version, ends = ends, because = because})
end

-- ARGV: 3 known, 4 open for
if step == 'tripped' then
  local c, known, openFor = circuitOf(key), tonumber(ARGV[3]), tonumber(ARGV[4])
  if c and (c.version > known or isTaken(c)) then return circuitAnswer('other', key, c) end
  return writeCircuit('done', 'open', now + openFor, 0, 0, '')
end

-- ARGV: 3 known, 4 the probe's name, 5 its lease, 6 failed probes
if step == 'claim' then
  local c, known = circuitOf(key), tonumber(ARGV[3])
  if c and (c.version > known or isTaken(c)) then return circuitAnswer('other', key, c) end
  local openUntil, failed = now, tonumber(ARGV[6])
  if c and c.state == 'open' then openUntil, failed = c.openUntil, c.failed end
  return writeCircuit('done', 'open', openUntil, failed, now + tonumber(ARGV[5]), ARGV[4])
end

-- ARGV: 3 known, 4 the probe's name, 5 how it ended, 6 open for, 7 failed probes
if step == 'ended' then
  local c, known, probe, how, failed = circuitOf(key), tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[7])
  local isNews = c and c.version > known
  if c and c.probe ~= probe and (isNews or c.probeUntil > now) then return circuitAnswer('other', key, c) end
  -- Its name stays: told again, it is known as the same one.
  if how == 'well' then return writeCircuit('done', 'closed', 0, 0, 0, probe) end
  if how == 'badly' then return writeCircuit('done', 'open', now + tonumber(ARGV[6]), failed, 0, probe) end
  return writeCircuit('done', 'open', c and c.state == 'open' and c.openUntil or now, failed, 0, probe)
end

-- ARGV: 3 for how long, 4 why
if step == 'cool' then
  local p, ends = pauseOf(key), now + tonumber(ARGV[3])
  if p and p.ends >= ends then return pauseAnswer(key, p) end
  return writePause(ends, ends, ARGV[4])
end

if step == 'warm' then
  local p = pauseOf(key)
  if p and p.ends > now then return writePause(0, now + ${KEPT_MS}, '') end
  return pauseAnswer(key, p or {version = 0, ends = 0, because = ''})
end

-- ARGV: 3 after which version
local version, since = latest(), tonumber(ARGV[3])
if since == version then return {integer(version)} end
-- It was emptied, and its clock set back.
if since > version then since = 0 end
local fields = call('ZRANGEBYSCORE', changes, '(' .. integer(since), '+inf', 'LIMIT', 0, ${MOST_CHANGES})
if #fields == ${MOST_CHANGES} then version = tonumber(call('ZSCORE', changes, fields[#fields])) end
local answer = {integer(version)}
for _, field in ipairs(fields) do
  local target = string.sub(field, 3)
  local isCircuit = string.sub(field, 1, 2) == 'c:'
  local found = isCircuit and circuitOf(target) or not isCircuit and pauseOf(target)
  if found then
    answer[#answer + 1] = isCircuit and circuitAnswer('circuit', target, found) or pauseAnswer(target, found)
  end
end
return answer
`
