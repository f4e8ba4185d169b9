import { at, errorsIn, googleDetailsOf, textOf } from "./read-error.ts"

/**
 * A wait this long is no answer to when to come again: it is ignored. Azure OpenAI tells 86,400 seconds to a single request
 * that is larger than what a minute allows, and takes a smaller one at once.
 */
const DAY_MS = 86_400_000

/**
 * Milliseconds the provider asked to wait: 0 or more, less than a day; undefined if unsaid. Read from, the first that says it:
 * `retry-after-ms`; `retry-after`, seconds or a date; Google's `retryDelay`; the resets of limits of which nothing remains;
 * LangChain's `retryAfterMs`; the message ("try again in 6m0s").
 *
 * @param now Epoch ms.
 */
export function retryAfterMs(error: unknown, now: number): number | undefined {
  for (const each of errorsIn(error)) {
    for (const read of READERS) {
      const wait = asWait(read(each, now))
      if (wait !== undefined) return wait
    }
  }
  return undefined
}

type Reader = (error: object, now: number) => number | undefined

const READERS: readonly Reader[] = [
  (error) => numberIn(headerOf(error, "retry-after-ms")),
  (error, now) => secondsOrDate(headerOf(error, "retry-after"), now),
  (error) => googleDelay(error),
  (error, now) => exhaustedReset(error, now),
  (error) => stampedWait(error),
  (error) => messageDelay(error),
]

function asWait(ms: number | undefined): number | undefined {
  return ms === undefined || !(ms < DAY_MS) ? undefined : Math.max(0, ms)
}

/** LangChain's; one below 0 says nothing. */
function stampedWait(error: object): number | undefined {
  const stamped = numberIn(at(error, "retryAfterMs"))
  return stamped === undefined || stamped < 0 ? undefined : stamped
}

/** A number, also as text; no other text, and nothing that is no finite number. */
function numberIn(value: unknown): number | undefined {
  const number = /^[+-]?\d+(?:\.\d+)?$/.test(textOf(value).trim()) ? Number(value) : value
  return typeof number === "number" && Number.isFinite(number) ? number : undefined
}

function secondsOrDate(value: unknown, now: number): number | undefined {
  const seconds = numberIn(value)
  return seconds === undefined ? untilDate(value, now) : seconds * 1_000
}

/** An HTTP date or RFC 3339; engines parse far more than that, and differ in it. */
const DATE = /^(?:[A-Z][a-z]{2,8}, |\d{4}-\d{2}-\d{2}T)/

function untilDate(value: unknown, now: number): number | undefined {
  const text = textOf(value).trim()
  const date = DATE.test(text) ? Date.parse(text) : Number.NaN
  // A date that has passed says: now.
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** "1s", "6m0s", "12ms", "1h2m3.5s" → ms. */
function durationMs(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|[dhms]))+$/.test(text)) return undefined
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|[dhms])/g)
  return [...parts].reduce((sum, [, number, unit = ""]) => sum + Number(number) * (UNIT_MS[unit] ?? 0), 0)
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: DAY_MS }

/** `google.rpc.RetryInfo`: "30s", "58.82s". */
function googleDelay(error: object): number | undefined {
  return googleDetailsOf(error)
    .map((detail) => durationMs(shortText(at(detail, "retryDelay"))))
    .find((delay) => delay !== undefined)
}

/**
 * When a limit is full again, and how much of it remains. Where something remains, the reset says nothing about the next
 * request; where the provider does not know (Azure OpenAI: -1), neither.
 */
const RESETS: readonly (readonly [reset: string, remaining: string])[] = [
  ["anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"],
  ["anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"],
  ["anthropic-ratelimit-input-tokens-reset", "anthropic-ratelimit-input-tokens-remaining"],
  ["anthropic-ratelimit-output-tokens-reset", "anthropic-ratelimit-output-tokens-remaining"],
  ["x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"],
  ["x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"],
  ["x-ratelimit-reset", "x-ratelimit-remaining"],
  ["ratelimit-reset", "ratelimit-remaining"],
]

/** The longest of them: a request needs all its limits. */
function exhaustedReset(error: object, now: number): number | undefined {
  const resets = RESETS.filter(([, remaining]) =>
    [undefined, 0].includes(numberIn(headerOf(error, remaining))),
  )
    .map(([reset]) => asWait(untilReset(headerOf(error, reset), now)))
    .filter((wait) => wait !== undefined)
  return resets.length === 0 ? undefined : Math.max(...resets)
}

/** "6m0s" (OpenAI), RFC 3339 (Anthropic), seconds (Azure OpenAI), epoch seconds, or epoch ms (OpenRouter). */
function untilReset(value: unknown, now: number): number | undefined {
  const number = numberIn(value)
  if (number === undefined) return durationMs(shortText(value)) ?? untilDate(value, now)
  if (number >= 1e12) return Math.max(0, number - now)
  return number >= 1e9 ? Math.max(0, number * 1_000 - now) : number * 1_000
}

/** "Please try again in 9.816s." (OpenAI, Groq), "Please retry after 45 seconds." (Azure OpenAI), "Please retry in 58.8s." (Google) */
const HINT =
  /\b(?:try again|retry) (?:in|after) (\d+(?:\.\d+)?) ?(ms|seconds?|minutes?|hours?|[hms])((?:\d+(?:\.\d+)?(?:ms|[hms]))*)/i

function messageDelay(error: object): number | undefined {
  for (const path of [["message"], ["error", "message"], ["error", "error", "message"]]) {
    const [, number, unit = "", rest = ""] = HINT.exec(textOf(at(error, ...path))) ?? []
    const short = unit.toLowerCase() === "ms" ? "ms" : unit.charAt(0).toLowerCase()
    if (number !== undefined) return durationMs(`${number}${short}${rest}`.slice(0, 40))
  }
  return undefined
}

/** Long enough for any duration, date or number. */
function shortText(value: unknown): string {
  return textOf(value).slice(0, 40).trim()
}

/** Where an error keeps the headers of its answer; OpenRouter tells those of its provider in the body. */
const HEADER_PATHS: readonly (readonly string[])[] = [
  ["headers"],
  ["response", "headers"],
  ["$response", "headers"],
  ["responseHeaders"],
  ["error", "metadata", "headers"],
]

function headerOf(error: object, name: string): unknown {
  return HEADER_PATHS.map((path) => headerIn(at(error, ...path), name)).find((value) => value !== undefined)
}

/** Of `Headers`, or of a plain object with names in whatever case. */
function headerIn(headers: unknown, name: string): unknown {
  if (typeof headers !== "object" || headers === null) return undefined
  try {
    if (typeof (headers as Headers).get === "function") return (headers as Headers).get(name) ?? undefined
    const key = Object.keys(headers).find((each) => each.toLowerCase() === name)
    return key === undefined ? undefined : at(headers, key)
  } catch {
    return undefined
  }
}
