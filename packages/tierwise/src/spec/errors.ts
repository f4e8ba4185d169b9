import type { Refusal } from "./budget.ts"
import type { Exclusion } from "./catalog.ts"
import type { Attempt, FailureKind, SkipReason } from "./dispatch.ts"
import type { Amount, NanoUsd } from "./money.ts"

const brand = Symbol.for("tierwise.error")

/** LangChain's own mark (`getRetryable` of `@langchain/core/errors`), which its retries ask for. */
const retryable = Symbol.for("langchain.errors.retryable")

/** Deeper than anybody wraps; chains that end in a circle end here too. */
const MOST_CAUSES = 16

export type TierwiseErrorCode =
  | "invalid-config"
  | "invalid-request"
  | "no-eligible-deployment"
  | "budget-exceeded"
  | "budget-unavailable"
  | "candidates-exhausted"
  | "deadline-exceeded"
  | "stream-broken"
  | "router-closed"

/**
 * Every error the router itself raises. A provider's or the caller's own error that must not be hidden
 * (an invalid request, an abort, a graph interrupt) is rethrown as it is and is not one of these.
 */
export abstract class TierwiseError extends Error {
  abstract readonly code: TierwiseErrorCode

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    Object.defineProperty(this, brand, { value: true })
    if (!new.target.mayHeal) Object.defineProperty(this, retryable, { value: false })
  }

  /** False where the same call would be refused again. */
  protected static readonly mayHeal: boolean = false

  /**
   * True for an error of any copy of this package, also when somebody wrapped it: the chain of `cause`s is
   * searched, because agent middleware re-creates errors and keeps the original there.
   */
  static isInstance(error: unknown): error is TierwiseError {
    return TierwiseError.find(error) !== undefined
  }

  /** The TierwiseError that `error` is or was caused by, or undefined. Never throws. */
  static find(error: unknown): TierwiseError | undefined {
    let at = error
    try {
      for (let depth = 0; depth < MOST_CAUSES && typeof at === "object" && at !== null; depth++) {
        if (brand in at) return at as unknown as TierwiseError
        at = (at as Error).cause
      }
    } catch {
      // Whatever refuses to be looked at is none of ours.
    }
    return undefined
  }
}

/** What an error says, also where something else was thrown. */
export function messageOf(error: unknown): string {
  try {
    if (error instanceof Error) return error.message
  } catch {
    // A getter that throws, or a proxy that was revoked.
    return "an error that cannot be read"
  }
  return typeof error === "string" ? error : `${typeof error} was thrown`
}

/**
 * What whoever wrote the program has to change: an option, an environment variable or a model that cannot work, thrown when
 * the router is built; and, thrown by a budget, an amount that is none, an id that holds another amount, a ledger that is
 * kept with other limits.
 */
export class ConfigError extends TierwiseError {
  readonly code = "invalid-config"
  /** Where: `deployments[2].price.inputPerMTok`, `MODEL_HEAVY`. */
  readonly path: string
  readonly problem: string
  /** What to do about it. */
  readonly fix: string

  constructor(path: string, problem: string, fix: string, options?: ErrorOptions) {
    super(`${path}: ${problem}. Fix: ${fix}.`, options)
    this.path = path
    this.problem = problem
    this.fix = fix
  }
}

/**
 * A call that no deployment could be sent, or nobody's money be held for: an empty conversation, an unknown tier, a scope whose
 * id is too long. Thrown before any money is held.
 */
export class InvalidRequestError extends TierwiseError {
  readonly code = "invalid-request"
  /** Where: `messages[3].content`, `tier`. */
  readonly path: string
  readonly problem: string
  readonly fix: string

  constructor(path: string, problem: string, fix: string) {
    super(`${path}: ${problem}. Fix: ${fix}.`)
    this.path = path
    this.problem = problem
    this.fix = fix
  }
}

/** No deployment can take this request; every one is listed with its reason. */
export class NoEligibleDeploymentError extends TierwiseError {
  readonly code = "no-eligible-deployment"
  readonly excluded: readonly Exclusion[]

  constructor(excluded: readonly Exclusion[]) {
    const reasons = excluded.map(({ id, because }) => `${id} (${because})`).join("; ")
    super(`No deployment can take this request: ${reasons}.`)
    this.excluded = excluded
  }
}

/** The budget refused every candidate. Nothing was called and nothing is held. */
export class BudgetExceededError extends TierwiseError {
  readonly code = "budget-exceeded"
  readonly refusal: Refusal
  /** The quote of the cheapest candidate that was refused. */
  readonly quote: Amount

  constructor(refusal: Refusal, quote: Amount) {
    const { scope, window, unit, limit, remaining, resetsAt } = refusal
    const said = (amount: number) => (unit === "tokens" ? `${amount} tokens` : `${dollars(amount)} USD`)
    const reset =
      resetsAt === undefined ? "it never resets" : `it resets at ${new Date(resetsAt).toISOString()}`
    const wanted = said(unit === "tokens" ? quote.tokens : quote.money)
    super(
      `The ${window} budget of ${scope} has ${said(remaining)} of ${said(limit)} left, and this call may take up to ${wanted}; ${reset}.`,
    )
    this.refusal = refusal
    this.quote = quote
  }
}

/**
 * The store that keeps the money did not answer, or holds what it cannot have written. Nothing is spent on a guess: a
 * call is refused. What was spent already is booked as soon as the store is back.
 */
export class BudgetUnavailableError extends TierwiseError {
  protected static override readonly mayHeal = true
  readonly code = "budget-unavailable"
  /** Name of the ledger. */
  readonly store: string
  readonly problem: string

  constructor(store: string, problem: string, options?: ErrorOptions) {
    super(`The budget "${store}" is not available: ${problem}.`, options)
    this.store = store
    this.problem = problem
  }
}

/** Every candidate that could be tried was tried, and all failed or may not be called now. `cause` is the last provider error. */
export class CandidatesExhaustedError extends TierwiseError {
  protected static override readonly mayHeal = true
  readonly code = "candidates-exhausted"
  readonly attempts: readonly Attempt[]
  /** Epoch ms, from when on the first of those who were not called may be; undefined: none waits for a time. */
  readonly retryAt: number | undefined
  /** For an HTTP answer: 429 if there was only no room for the call, by limits of ours or of providers; else 503. */
  readonly status: 429 | 503

  constructor(attempts: readonly Attempt[], cause: unknown, retryAt?: number) {
    super(`No candidate answered${storyOf(attempts)}${backAt(retryAt)}.`, { cause })
    this.attempts = attempts
    this.retryAt = retryAt
    this.status = attempts.length > 0 && attempts.every(hadNoRoom) ? 429 : 503
  }
}

function hadNoRoom(attempt: Attempt): boolean {
  if (attempt.outcome === "skipped") return NO_ROOM.has(attempt.because)
  return attempt.outcome === "failed" && attempt.failure === "rate-limited"
}

const NO_ROOM: ReadonlySet<SkipReason> = new Set(["saturated", "cooling-down", "too-large"])

/** The latest time that a date can be, epoch ms. */
const LATEST_DATE = 8.64e15

function backAt(retryAt: number | undefined): string {
  if (retryAt === undefined || !(Math.abs(retryAt) <= LATEST_DATE)) return ""
  return `; the first of them is back at ${new Date(retryAt).toISOString()}`
}

/** The request was not answered within `deadlineMs`. `cause` is what it was waiting for. */
export class DeadlineExceededError extends TierwiseError {
  protected static override readonly mayHeal = true
  readonly code = "deadline-exceeded"
  /** Until then. */
  readonly attempts: readonly Attempt[]
  /** What the whole request may have taken, ms. */
  readonly deadlineMs: number

  constructor(attempts: readonly Attempt[], deadlineMs: number, cause?: unknown) {
    super(`The request was not answered within ${deadlineMs} ms${storyOf(attempts)}.`, { cause })
    this.attempts = attempts
    this.deadlineMs = deadlineMs
  }
}

/**
 * An answer broke off after its reader had words of it: it is not whole, and nobody else may go on with it unmarked. `cause`
 * is the provider's own error.
 */
export class StreamBrokenError extends TierwiseError {
  protected static override readonly mayHeal = true
  readonly code = "stream-broken"
  /** Whose answer it was. */
  readonly deploymentId: string
  readonly failure: FailureKind
  /** The words that were read. Empty where they went to handlers only, or were read as an object. */
  readonly partial: string
  /** Booked for all attempts of the request, NanoUsd. 0 of a `FallbackChain`, which books nothing. */
  readonly cost: NanoUsd

  constructor(
    broken: Pick<StreamBrokenError, "deploymentId" | "failure" | "partial" | "cost">,
    cause: unknown,
  ) {
    const { deploymentId, failure, partial, cost } = broken
    super(
      `The answer of ${deploymentId} broke off after ${partial.length} characters (${failure}: ${messageOf(cause)}).`,
      { cause },
    )
    this.deploymentId = deploymentId
    this.failure = failure
    this.partial = partial
    this.cost = cost
  }
}

/**
 * The router was closed before the call, or while it was under way and did not end in time: it is cancelled then, and what it
 * had made is booked. Another process may take it; this router never will.
 */
export class RouterClosedError extends TierwiseError {
  readonly code = "router-closed"
  /** What calls under way had to come to their end, ms. Undefined: this one came later, and nobody was asked. */
  readonly deadlineMs: number | undefined

  constructor(deadlineMs?: number) {
    super(
      deadlineMs === undefined
        ? "The router takes no calls: it is closed. Fix: make a new one, or close it after its last call."
        : `The router was closed, and the call did not end within ${deadlineMs} ms. Fix: give close a longer deadlineMs, or send the call again, to another process.`,
    )
    this.deadlineMs = deadlineMs
  }
}

/** `: small failed (network: …); large failed (…)`, or nothing. */
function storyOf(attempts: readonly Attempt[]): string {
  const told = attempts.map((attempt) => {
    const { deploymentId, outcome } = attempt
    if (attempt.outcome === "failed") return `${deploymentId} failed (${attempt.failure}: ${attempt.error})`
    return attempt.outcome === "skipped"
      ? `${deploymentId} skipped (${attempt.because})`
      : `${deploymentId} ${outcome}`
  })
  return told.length === 0 ? "" : `: ${told.join("; ")}`
}

/** NanoUsd in plain decimals. */
function dollars(amount: number): string {
  return (amount / 1e9).toFixed(9).replace(/\.?0+$/, "")
}
