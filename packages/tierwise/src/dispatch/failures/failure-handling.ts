import type { FailureKind } from "../../spec/dispatch.ts"
import { ConfigError } from "../../spec/errors.ts"
import { cameInsideAnAnswer } from "./classify-failure.ts"
import { retryAfterMs } from "./retry-after.ts"

/** What follows a kind of failure. */
export interface FailureHandling {
  /** `backoff`: try the same candidate again after a pause. `if-last`: only when nobody else is left to ask. */
  readonly retry: "backoff" | "if-last" | "never"
  /** False: the error is the caller's to see and is rethrown as it is. */
  readonly fallback: boolean
  /** True: the fallback skips whoever has no larger a context window than the candidate that failed. */
  readonly onlyLargerContext: boolean
  /** True if the provider may bill the try although no answer came back; see `mayBeBilled` for one that did begin. */
  readonly mayBeBilled: boolean
  /**
   * For how long nobody asks the candidate, ms, 0 to a day, unless the provider says how long (`coolDownMs`). Undefined or 0:
   * it is asked again at once.
   */
  readonly coolDownMs?: number | undefined
  /** True if the failure counts against the candidate's circuit breaker. */
  readonly tripsBreaker: boolean
}

const SECOND_MS = 1_000
const MINUTE_MS = 60 * SECOND_MS
const DAY_MS = 1_440 * MINUTE_MS

const stopHere: FailureHandling = {
  retry: "never",
  fallback: false,
  onlyLargerContext: false,
  mayBeBilled: false,
  tripsBreaker: false,
}
const nextPlease: FailureHandling = { ...stopHere, fallback: true }
const unwell: FailureHandling = { ...nextPlease, tripsBreaker: true }
const tryAgain: FailureHandling = { ...unwell, retry: "backoff" }
/** Nobody but a person can change it. */
const shutOut: FailureHandling = { ...nextPlease, coolDownMs: 10 * MINUTE_MS }

export type FailureTable = Readonly<Record<FailureKind, FailureHandling>>

/** A provider's failure is expected: what follows is looked up, not argued in code. */
export const FAILURE_HANDLING: FailureTable = {
  "rate-limited": { ...nextPlease, retry: "if-last", coolDownMs: MINUTE_MS },
  "quota-exhausted": shutOut,
  overloaded: { ...tryAgain, coolDownMs: 15 * SECOND_MS },
  "server-error": tryAgain,
  network: tryAgain,
  timeout: { ...unwell, mayBeBilled: true },
  truncated: { ...unwell, mayBeBilled: true },
  unknown: unwell,
  "context-overflow": { ...nextPlease, onlyLargerContext: true },
  authentication: shutOut,
  "not-found": shutOut,
  // Azure bills what it refuses.
  "content-filtered": { ...nextPlease, mayBeBilled: true },
  unparseable: { ...stopHere, mayBeBilled: true },
  "invalid-request": stopHere,
  aborted: { ...stopHere, mayBeBilled: true },
  "control-flow": stopHere,
  defect: stopHere,
}

/** Whether the provider may bill a try that ended with this error: by its kind, or because it was taken before it failed. */
export function mayBeBilled(
  failure: FailureKind,
  error: unknown,
  table: FailureTable = FAILURE_HANDLING,
): boolean {
  return table[failure].mayBeBilled || cameInsideAnAnswer(error)
}

/**
 * For how long to leave the candidate alone that failed so, ms: what the provider asked for, else what the table says;
 * undefined: ask it at once. Failures that do not cool down never do, whatever the provider asks.
 *
 * @param now Epoch ms.
 */
export function coolDownMs(
  failure: FailureKind,
  error: unknown,
  now: number,
  table: FailureTable = FAILURE_HANDLING,
): number | undefined {
  const byTable = table[failure].coolDownMs ?? 0
  if (byTable === 0) return undefined
  return (retryAfterMs(error, now) ?? byTable) || undefined
}

/** Fields to replace, by kind; a field that is left out or undefined stays. `coolDownMs: 0`: no cooling down. */
export type FailureOverrides = {
  readonly [kind in FailureKind]?:
    | { readonly [field in keyof FailureHandling]?: FailureHandling[field] | undefined }
    | undefined
}

/**
 * The table with the caller's wishes in it.
 *
 * @throws ConfigError naming the kind or the field that does not exist, the value that is none of its field's, and what can
 * never be: that what the caller stopped, a graph's interrupt or a defect is retried, passed on to the next candidate,
 * cooled down for or counted against a breaker.
 */
export function handlingFrom(overrides: FailureOverrides | undefined): FailureTable {
  if (overrides === undefined) return FAILURE_HANDLING
  if (!isPlain(overrides)) {
    throw new ConfigError("failureHandling", "it is no object", `give fields by kind, e.g. ${EXAMPLE}`)
  }
  const table: Record<string, FailureHandling> = { ...FAILURE_HANDLING }
  for (const [kind, fields] of Object.entries(overrides)) {
    const usual = table[checkKind(kind)] ?? stopHere
    if (fields !== undefined) table[kind] = { ...usual, ...checkedFields(kind, fields) }
  }
  return table as FailureTable
}

const EXAMPLE = '{ "rate-limited": { coolDownMs: 5_000 } }'

function checkKind(kind: string): string {
  if (Object.hasOwn(FAILURE_HANDLING, kind)) return kind
  const kinds = Object.keys(FAILURE_HANDLING).join(", ")
  throw new ConfigError(`failureHandling.${kind}`, "there is no such kind of failure", `use one of ${kinds}`)
}

function checkedFields(kind: string, fields: unknown): Partial<FailureHandling> {
  if (!isPlain(fields)) {
    throw new ConfigError(`failureHandling.${kind}`, "it is no object", `give fields, e.g. ${EXAMPLE}`)
  }
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  for (const [field, value] of given) checkField(kind, field, value)
  return Object.fromEntries(given)
}

function checkField(kind: string, field: string, value: unknown): void {
  const path = `failureHandling.${kind}.${field}`
  const rule = Object.hasOwn(FIELDS, field) ? FIELDS[field as keyof FailureHandling] : undefined
  if (rule === undefined) {
    throw new ConfigError(path, "there is no such field", `use one of ${Object.keys(FIELDS).join(", ")}`)
  }
  if (!rule.isValid(value)) throw new ConfigError(path, "it is no value of this field", `give ${rule.values}`)
  if (NOBODYS_FAULT.has(kind) && rule.never(value)) {
    throw new ConfigError(path, `"${kind}" is no failure of the candidate`, "leave it out")
  }
}

/** What was not the candidate's doing says nothing about it, and nobody else may be asked in its place. */
const NOBODYS_FAULT: ReadonlySet<string> = new Set<FailureKind>(["aborted", "control-flow", "defect"])

interface Field {
  readonly isValid: (value: unknown) => boolean
  readonly values: string
  /** True for what cannot follow where the candidate did nothing wrong. */
  readonly never: (value: unknown) => boolean
}

const yesOrNo: Field = {
  isValid: (value) => typeof value === "boolean",
  values: "true or false",
  never: (value) => value === true,
}

const FIELDS: Readonly<Record<keyof FailureHandling, Field>> = {
  retry: {
    isValid: (value) => value === "backoff" || value === "if-last" || value === "never",
    values: '"backoff", "if-last" or "never"',
    never: (value) => value !== "never",
  },
  fallback: yesOrNo,
  onlyLargerContext: yesOrNo,
  mayBeBilled: { ...yesOrNo, never: () => false },
  coolDownMs: {
    isValid: (value) => typeof value === "number" && value >= 0 && value <= DAY_MS,
    values: "milliseconds from 0 to 86,400,000 (a day)",
    never: (value) => value !== 0,
  },
  tripsBreaker: yesOrNo,
}

function isPlain(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
