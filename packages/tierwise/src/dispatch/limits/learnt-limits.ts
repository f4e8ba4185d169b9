/** The headers of an answer, or of the error that came instead. */
export type ResponseHeaders = Pick<Headers, "get"> | Readonly<Record<string, unknown>>

export type LimitedUnit = "requests" | "tokens"

/** What one response says about one limit. */
export interface LimitReading {
  readonly unit: LimitedUnit
  /** The most in 60 s; undefined: not said. */
  readonly limit?: number | undefined
  /** Epoch ms. Nothing is left until then; undefined: something is left, or nobody said until when. */
  readonly emptyUntil?: number | undefined
}

/**
 * How long a response is believed, ms. A provider may raise a limit, and where nothing is sent nothing is learnt: after this
 * time the next call finds out.
 */
export const LEARNT_FOR_MS = 600_000

export interface LearntLimits {
  /** Never throws: what cannot be read is left alone. */
  learn(headers: ResponseHeaders): void
  /** The most in 60 s, as the provider said last; `Infinity` if it did not, or too long ago. */
  limitOf(unit: LimitedUnit, at: number): number
  /** Epoch ms; a time that has passed if the provider has something left. */
  emptyUntil(): number
}

/** What a provider says about its limits, one response after the other. */
export function learntLimits({ now }: { readonly now: () => number }): LearntLimits {
  const limits = { requests: { most: Infinity, until: 0 }, tokens: { most: Infinity, until: 0 } }
  let emptyUntil = 0
  return {
    learn(headers) {
      const at = now()
      const readings = readLimits(headers, at)
      const until = at + LEARNT_FOR_MS
      for (const unit of UNITS) {
        const most = lowest(readings, unit)
        if (most !== Infinity) limits[unit] = { most, until }
      }
      for (const reading of readings)
        emptyUntil = Math.max(emptyUntil, Math.min(reading.emptyUntil ?? 0, until))
    },
    limitOf(unit, at) {
      const { most, until } = limits[unit]
      return at < until ? most : Infinity
    },
    emptyUntil: () => emptyUntil,
  }
}

const UNITS: readonly LimitedUnit[] = ["requests", "tokens"]

/** Of several limits on the same unit the lowest holds. */
function lowest(readings: readonly LimitReading[], unit: LimitedUnit): number {
  return Math.min(
    ...readings.map((reading) => (reading.unit === unit ? reading.limit : undefined) ?? Infinity),
  )
}

interface Family {
  readonly unit: LimitedUnit
  /** Of which the limit per minute is learnt. */
  readonly limit?: string
  readonly remaining: string
  /** When all of it is there again. */
  readonly reset: string
  /** What is left grows all the time, up to this limit. Undefined: all comes back at once. */
  readonly growsTo?: string
}

/**
 * Three headers for each limit. A limit without a window is taken as one per minute; where it is one per day (requests at
 * Groq), that is too much and does no harm.
 *
 * At OpenAI, Anthropic and Groq what is left grows all the time, and the reset is when it is whole again: whoever waited for that
 * would leave nearly a minute's calls unused. A hundredth of the limit has to be back, or one.
 *
 * - OpenAI, and who follows it (Azure, Groq, …): `60`, `59`, and the time until the reset as a duration (`1s`, `6m0s`, `12ms`)
 *   or in seconds (Azure). platform.openai.com/docs/guides/rate-limits, as of 2026-06-26; console.groq.com/docs/rate-limits
 *   and learn.microsoft.com/answers/questions/5625878 (where -1 stands for unknown), read 2026-11-21.
 * - Anthropic: `1000`, `999`, and the time of the reset in RFC 3339 (`2025-08-21T12:40:59Z`). `tokens` is the sum of input
 *   and output, or the workspace's limit where that is lower; input and output by themselves only tell when they are used
 *   up. platform.claude.com/docs/en/api/rate-limits and docs.aws.amazon.com/claude-platform, read 2026-11-21.
 * - `ratelimit-remaining`, `-reset` (seconds): drafts 00 to 06 of the standard below. Their `ratelimit-limit` may be one per
 *   second, and is not believed; where they tell its window, they do so as a policy.
 */
const FAMILIES: readonly Family[] = [
  openAi("requests"),
  openAi("tokens"),
  anthropic("requests"),
  anthropic("tokens"),
  usedUp("anthropic-ratelimit-input-tokens"),
  usedUp("anthropic-ratelimit-output-tokens"),
  { unit: "requests", remaining: "ratelimit-remaining", reset: "ratelimit-reset" },
]

function openAi(unit: LimitedUnit): Family {
  const of = (what: string) => `x-ratelimit-${what}-${unit}`
  const limit = of("limit")
  return { unit, limit, remaining: of("remaining"), reset: of("reset"), growsTo: limit }
}

function anthropic(unit: LimitedUnit): Family {
  const prefix = `anthropic-ratelimit-${unit}`
  const limit = `${prefix}-limit`
  return { unit, limit, remaining: `${prefix}-remaining`, reset: `${prefix}-reset`, growsTo: limit }
}

function usedUp(prefix: string): Family {
  const [remaining, reset, growsTo] = [`${prefix}-remaining`, `${prefix}-reset`, `${prefix}-limit`]
  return { unit: "tokens", remaining, reset, growsTo }
}

/** All that the headers say and that can be read. Nothing in them is trusted beyond that. */
export function readLimits(headers: ResponseHeaders, now: number): readonly LimitReading[] {
  const read = readerOf(headers)
  const ofFamilies = FAMILIES.map(({ unit, limit, remaining, reset, growsTo }): LimitReading => {
    const wholeAt = count(read(remaining)) === 0 ? timeOf(read(reset), now) : undefined
    return {
      unit,
      limit: atLeastOne(count(limit && read(limit))),
      emptyUntil: wholeAt && someAt(wholeAt, count(growsTo && read(growsTo)), now),
    }
  })
  return [...ofFamilies, ...ofStandard(read, now)].filter(
    ({ limit, emptyUntil }) => limit !== undefined || emptyUntil !== undefined,
  )
}

/** When a hundredth of what grows to `most` is there again, or one, epoch ms. */
function someAt(wholeAt: number, most: number | undefined, now: number): number {
  return most === undefined ? wholeAt : now + (wholeAt - now) / Math.max(1, Math.min(most, 100))
}

/** Longer than anything that is read here. */
const MOST_CHARACTERS = 1_000

type Read = (name: string) => string | undefined

function readerOf(headers: ResponseHeaders): Read {
  const get = isHeaders(headers) ? (name: string) => headers.get(name) : ofRecord(headers)
  return (name) => {
    const value = get(name)
    return typeof value === "string" && value.length <= MOST_CHARACTERS ? value.trim() : undefined
  }
}

function isHeaders(headers: ResponseHeaders): headers is Pick<Headers, "get"> {
  return typeof headers["get"] === "function"
}

function ofRecord(headers: Readonly<Record<string, unknown>>): (name: string) => unknown {
  const byName = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  return (name) => byName.get(name)
}

/**
 * `RateLimit-Policy: "burst";q=100;w=10` and `RateLimit: "burst";r=0;t=5`, of drafts 08 to 11. A policy without a unit (`qu`)
 * is about requests. Drafts 03 to 06 write `100;w=10` without a name.
 * datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers, draft 10 of 2025-09-27, read 2026-11-21.
 */
function ofStandard(read: Read, now: number): readonly LimitReading[] {
  const policies = itemsOf(read("ratelimit-policy"))
  const unitOf = (name: string) => {
    const policy = policies.find((one) => one.name === name)
    return UNIT_OF[policy?.parameters.get("qu") ?? "requests"]
  }
  const limits = policies.map(({ name, parameters }) => ({
    unit: unitOf(name),
    limit: inAMinute(count(parameters.get("q") ?? name), count(parameters.get("w"))),
  }))
  const states = itemsOf(read("ratelimit")).map(({ name, parameters }) => ({
    unit: unitOf(name),
    emptyUntil: count(parameters.get("r")) === 0 ? timeOf(parameters.get("t"), now) : undefined,
  }))
  return [...limits, ...states].flatMap(({ unit, ...said }) =>
    unit === undefined ? [] : [{ unit, ...said }],
  )
}

const UNIT_OF: Readonly<Record<string, LimitedUnit | undefined>> = { requests: "requests", tokens: "tokens" }

interface Item {
  readonly name: string
  readonly parameters: ReadonlyMap<string, string>
}

/** Of a list of structured fields as much as is needed here: `"name";key=value;key=value, …`. */
function itemsOf(text: string | undefined): readonly Item[] {
  if (text === undefined) return []
  return text.split(",").map((item) => {
    const [name = "", ...parameters] = item.split(";").map((part) => part.trim())
    return { name, parameters: new Map(parameters.map(keyAndValue)) }
  })
}

function keyAndValue(parameter: string): [string, string] {
  const equals = parameter.indexOf("=")
  return [parameter.slice(0, equals), parameter.slice(equals + 1).replaceAll('"', "")]
}

/** In 60 s, of so many in a window of `seconds`. */
function inAMinute(quota: number | undefined, seconds = 60): number | undefined {
  if (quota === undefined || seconds === 0) return undefined
  return atLeastOne(seconds < 60 ? Math.floor((quota * 60) / seconds) : quota)
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

function atLeastOne(limit: number | undefined): number | undefined {
  return limit === 0 ? undefined : limit
}

/** Epoch ms of a reset, undefined if it cannot be read. */
function timeOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined || text.length > 40) return undefined
  if (/^\d+(?:\.\d+)?$/.test(text)) return now + Number(text) * 1000
  if (/^\d{4}-\d\d-\d\d[Tt ]/.test(text)) return notNaN(Date.parse(text))
  if (!/^(?:\d+(?:\.\d+)?[a-zµ]+)+$/.test(text)) return undefined
  const parts = [...text.matchAll(/([\d.]+)([a-zµ]+)/g)]
  return notNaN(
    parts.reduce((at, [, amount, unit]) => at + Number(amount) * (MS_IN[unit ?? ""] ?? Number.NaN), now),
  )
}

/** As Go writes durations. */
const MS_IN: Readonly<Record<string, number | undefined>> = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
}

function notNaN(time: number): number | undefined {
  return Number.isNaN(time) ? undefined : time
}
