import type { Refusal } from "../spec/budget.ts"
import type { Attempt, FailureKind } from "../spec/dispatch.ts"
import { BudgetExceededError, CandidatesExhaustedError, messageOf } from "../spec/errors.ts"
import type { Amount, NanoUsd } from "../spec/money.ts"
import { ZERO_USD } from "../spec/money.ts"
import type { Tier } from "../spec/request.ts"
import { addUsage, NO_USAGE, type Usage } from "../spec/usage.ts"
import { classifyFailure, retryAfterMs } from "./classify-failure.ts"
import { FAILURE_HANDLING } from "./failure-handling.ts"
import type { Pause } from "./pause.ts"
import { withSignal } from "./with-signal.ts"

/** What can be called. */
export interface Target {
  readonly deploymentId: string
  readonly tier: Tier
}

/** Counts what one try produced, piece by piece, so that a stream that breaks is not free. */
export interface Meter<P> {
  see(piece: P): void
  /** Usage and cost of what was seen. `mayBeBilled`: the call reached the provider and died without a report. */
  read(ended: "answered" | "failed", mayBeBilled: boolean): { usage: Usage | undefined; cost: NanoUsd }
}

/** Money held for one candidate. Closed exactly once, on every way out. */
export interface Hold {
  settle(actual: { usage: Usage | undefined; cost: NanoUsd }): Promise<void>
  release(): Promise<void>
}

export type HoldOutcome =
  | { readonly granted: true; readonly hold: Hold }
  | { readonly granted: false; readonly refusal: Refusal; readonly quote: Amount }

export interface DispatchOptions<C extends Target, P> {
  /** In the order in which they are asked. */
  readonly candidates: readonly C[]
  /** One try. A stream opens with its first piece; a plain call has one piece. */
  readonly call: (candidate: C, signal: AbortSignal | undefined) => AsyncIterable<P>
  readonly hold?: ((candidate: C) => Promise<HoldOutcome>) | undefined
  readonly meter?: ((candidate: C) => Meter<P>) | undefined
  /** The caller's signal. */
  readonly signal?: AbortSignal | undefined
  readonly settings: DispatchSettings
  readonly onStart?: ((candidate: C) => void) | undefined
  readonly onAttempt?: ((attempt: Attempt) => void) | undefined
}

export interface DispatchSettings {
  /** Candidates tried after the first one failed. */
  readonly maxFallbackAttempts: number
  /** Tries at the same candidate after the first one failed in a way that a pause may heal. */
  readonly maxRetries: number
  /** First pause, ms; it doubles with each retry, and a random share of it is waited (full jitter). */
  readonly retryBaseMs: number
  /** Until the first piece, ms; undefined: no limit of ours. */
  readonly attemptTimeoutMs: number | undefined
  readonly now: () => number
  readonly random: () => number
  readonly pause: Pause
}

/** The longest pause, ms, whatever the doubling or the provider says. */
export const MAX_RETRY_PAUSE_MS = 5_000

/**
 * Calls the candidates in order until one opens, and yields its pieces. Each candidate's money is held before it is
 * called and closed on every way out: answered, failed, aborted, or a reader who walks away. A failure is classified
 * once and the table says what follows; after the first piece (the commit point) there is no fallback.
 *
 * @throws BudgetExceededError if every candidate was refused; CandidatesExhaustedError if those that were called all
 * failed; the provider's own error, untouched, where the table knows no fallback.
 */
export async function* dispatch<C extends Target, P>(
  options: DispatchOptions<C, P>,
): AsyncGenerator<P, void, undefined> {
  const { candidates, settings } = options
  const attempts: Attempt[] = []
  const report = (attempt: Attempt) => {
    attempts.push(attempt)
    options.onAttempt?.(attempt)
  }
  let called = 0
  let lastError: unknown
  let cheapestRefusal: { refusal: Refusal; quote: Amount } | undefined

  for (const [index, candidate] of candidates.entries()) {
    if (called > settings.maxFallbackAttempts) break
    const held = (await options.hold?.(candidate)) ?? { granted: true, hold: NOTHING_HELD }
    if (!held.granted) {
      // A refused hold is not a failure: the next candidate may be cheaper.
      report({ ...base(candidate, settings.now(), 0), outcome: "skipped", because: "unaffordable" })
      if (cheapestRefusal === undefined || held.quote.money < cheapestRefusal.quote.money)
        cheapestRefusal = held
      continue
    }
    called++
    const isLast = index === candidates.length - 1 || called > settings.maxFallbackAttempts
    const ended = yield* tryCandidate(options, candidate, held.hold, isLast, report)
    if (ended === ANSWERED) return
    lastError = ended.error
    if (!FAILURE_HANDLING[ended.failure].fallback) throw lastError
  }
  if (called === 0 && cheapestRefusal !== undefined) {
    throw new BudgetExceededError(cheapestRefusal.refusal, cheapestRefusal.quote)
  }
  throw new CandidatesExhaustedError(attempts, lastError)
}

const ANSWERED = "answered"

type Ended = typeof ANSWERED | { readonly failure: FailureKind; readonly error: unknown }

/** All tries at one candidate, under one hold. */
async function* tryCandidate<C extends Target, P>(
  options: DispatchOptions<C, P>,
  candidate: C,
  hold: Hold,
  isLast: boolean,
  report: (attempt: Attempt) => void,
): AsyncGenerator<P, Ended, undefined> {
  const { settings, signal } = options
  const { now } = settings
  const account = newAccount(hold)
  try {
    for (let retry = 0; ; retry++) {
      const startedAt = now()
      const meter = options.meter?.(candidate)
      const tried = newTry(options, candidate)
      let firstPieceAt: number | undefined
      let finished = false
      options.onStart?.(candidate)
      try {
        for (let next = await tried.next(); !next.done; next = await tried.next()) {
          firstPieceAt ??= now()
          meter?.see(next.value)
          yield next.value
        }
        finished = true
        const endedAt = now()
        const { usage, cost } = meter?.read("answered", false) ?? NOTHING_READ
        account.add(usage, cost)
        report({
          ...base(candidate, startedAt, endedAt - startedAt),
          outcome: "answered",
          usage: usage ?? NO_USAGE,
          cost,
          firstPieceMs: (firstPieceAt ?? endedAt) - startedAt,
        })
        return ANSWERED
      } catch (error) {
        finished = true
        const failure = classifyFailure(error, tried.fired())
        const handling = FAILURE_HANDLING[failure]
        const opened = firstPieceAt !== undefined
        account.fail(report, base(candidate, startedAt, now() - startedAt), failure, error, meter, opened)
        // Past the commit point the reader has seen words of this candidate: nobody else may continue them unmarked.
        if (opened) throw error
        const wait = retryPause(handling.retry, error, retry, isLast, settings)
        if (wait === undefined) return { failure, error }
        await settings.pause(wait, signal)
      } finally {
        await tried.close()
        // Neither answered nor failed: the reader walked away, and pays for what was made for it.
        if (!finished) {
          const walkedAway = new Error("the reader stopped reading")
          account.fail(
            report,
            base(candidate, startedAt, now() - startedAt),
            "aborted",
            walkedAway,
            meter,
            true,
          )
        }
      }
    }
  } finally {
    await account.close()
  }
}

/** One call with its own time-out until the first piece. */
function newTry<C extends Target, P>({ call, signal, settings }: DispatchOptions<C, P>, candidate: C) {
  const { attemptTimeoutMs } = settings
  const timeout = attemptTimeoutMs === undefined ? undefined : new AbortController()
  const timer = timeout && setTimeout(() => timeout.abort(timeoutError(attemptTimeoutMs)), attemptTimeoutMs)
  const both = timeout && signal ? AbortSignal.any([signal, timeout.signal]) : (timeout?.signal ?? signal)
  let pieces: AsyncIterator<P> | undefined
  return {
    async next(): Promise<IteratorResult<P>> {
      both?.throwIfAborted()
      pieces ??= call(candidate, both)[Symbol.asyncIterator]()
      const next = await withSignal(pieces.next(), both)
      clearTimeout(timer)
      return next
    },
    fired: () => ({ callerAborted: signal?.aborted ?? false, timedOut: timeout?.signal.aborted ?? false }),
    async close(): Promise<void> {
      clearTimeout(timer)
      // A generator that is busy answers `return` only when it is done: the signal ends it, nobody waits for it.
      void Promise.resolve(pieces?.return?.()).catch(() => {})
    },
  }
}

function timeoutError(ms: number | undefined): Error {
  return Object.assign(new Error(`no first piece after ${ms} ms`), { name: "TimeoutError" })
}

/** Sums what the tries of one candidate cost, and closes the hold once. */
function newAccount(hold: Hold) {
  let total: { usage: Usage | undefined; cost: NanoUsd } | undefined
  const add = (usage: Usage | undefined, cost: NanoUsd) => {
    total =
      total === undefined
        ? { usage, cost }
        : { usage: addUsage(total.usage, usage), cost: (total.cost + cost) as NanoUsd }
  }
  return {
    add,
    fail<P>(
      report: (attempt: Attempt) => void,
      base: AttemptBase,
      failure: FailureKind,
      error: unknown,
      meter: Meter<P> | undefined,
      opened: boolean,
    ): void {
      const billed = opened || FAILURE_HANDLING[failure].mayBeBilled
      const { usage, cost } = meter?.read("failed", billed) ?? NOTHING_READ
      if (usage !== undefined) add(usage, cost)
      report({ ...base, outcome: "failed", failure, error: messageOf(error), cost, usage })
    },
    close: () => (total === undefined ? hold.release() : hold.settle(total)),
  }
}

type AttemptBase = Pick<Attempt, "deploymentId" | "tier" | "startedAt" | "durationMs">

function base({ deploymentId, tier }: Target, startedAt: number, durationMs: number): AttemptBase {
  return { deploymentId, tier, startedAt, durationMs }
}

/** How long to wait before the same candidate is tried again; undefined: not at all. */
function retryPause(
  retry: "backoff" | "if-last" | "never",
  error: unknown,
  retriesSoFar: number,
  isLast: boolean,
  { maxRetries, retryBaseMs, random, now }: DispatchSettings,
): number | undefined {
  if (retry === "never" || retriesSoFar >= maxRetries || (retry === "if-last" && !isLast)) return undefined
  const asked = retryAfterMs(error, now())
  if (asked !== undefined) return asked <= MAX_RETRY_PAUSE_MS ? asked : undefined
  return random() * Math.min(retryBaseMs * 2 ** retriesSoFar, MAX_RETRY_PAUSE_MS)
}

const NOTHING_HELD: Hold = { settle: async () => {}, release: async () => {} }
const NOTHING_READ = { usage: undefined, cost: ZERO_USD }
