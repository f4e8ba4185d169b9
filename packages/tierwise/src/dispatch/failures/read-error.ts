/*
 * An error may be anything that somebody threw: an object whose getters throw, a revoked Proxy, a chain of causes that
 * bites its own tail, a message of a hundred megabytes. Whoever asks it through here is never thrown at and never kept busy.
 */

/** Errors looked at, of a chain of causes or a collection. */
const MOST_ERRORS = 16
/** Items looked at, of any list in an error. */
const MOST_ITEMS = 16
/** Characters looked at, of any text in an error. */
const MOST_CHARACTERS = 4_000

/** What lies at the end of the path; undefined where it breaks off, or where looking throws. */
export function at(value: unknown, ...path: readonly PropertyKey[]): unknown {
  let found = value
  for (const key of path) {
    if ((typeof found !== "object" && typeof found !== "function") || found === null) return undefined
    try {
      found = (found as Record<PropertyKey, unknown>)[key]
    } catch {
      return undefined
    }
  }
  return found
}

/** The beginning of a text, at most 4,000 characters of it; "" for what is none. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value.slice(0, MOST_CHARACTERS) : ""
}

/** The first items of a list, at most 16; none of what is no list. */
export function itemsOf(value: unknown): readonly unknown[] {
  const length = at(value, "length")
  if (typeof length !== "number" || !(length > 0)) return []
  return Array.from({ length: Math.min(length, MOST_ITEMS) }, (_, index) => at(value, index))
}

/**
 * The error, what caused it and what it collects, the nearest first: agent middleware re-creates errors and keeps the
 * original as `cause`; `AggregateError` keeps several. At most 16, each once.
 */
export function errorsIn(error: unknown): readonly object[] {
  const found = new Set<object>()
  const waiting = [error]
  for (const next of waiting) {
    if (found.size >= MOST_ERRORS) break
    if (typeof next !== "object" || next === null || found.has(next)) continue
    found.add(next)
    waiting.push(at(next, "cause"), ...itemsOf(at(next, "errors")))
  }
  return [...found]
}

/** The HTTP status under any of the names that packages give it; undefined: none, such as inside a 200's stream. */
export function httpStatusOf(error: unknown): number | undefined {
  return STATUS_PATHS.map((path) => asStatus(at(error, ...path))).find((status) => status !== undefined)
}

const STATUS_PATHS: readonly (readonly string[])[] = [
  ["status"], // openai, @anthropic-ai/sdk, groq-sdk, @google/generative-ai
  ["statusCode"], // @langchain/google, @mistralai/mistralai
  ["status_code"], // ollama
  ["response", "status"],
  ["$metadata", "httpStatusCode"], // AWS
]

/** A number from 400 to 599, also as text: some bodies write "429". */
export function asStatus(value: unknown): number | undefined {
  const status = typeof value === "string" && /^\d{3}$/.test(value) ? Number(value) : value
  return typeof status === "number" && Number.isInteger(status) && status >= 400 && status <= 599
    ? status
    : undefined
}

/** What Google explains an error with: quotas that are exceeded, reasons, how long to wait. */
export function googleDetailsOf(error: unknown): readonly unknown[] {
  return GOOGLE_DETAILS.flatMap((path) => itemsOf(at(error, ...path)))
}

const GOOGLE_DETAILS: readonly (readonly string[])[] = [
  ["errorDetails"], // @google/generative-ai
  ["error", "details"],
  ["data", "error", "details"], // @langchain/google
]
