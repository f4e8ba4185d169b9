import type { Refusal } from "../spec/budget.ts"
import type { Attempt } from "../spec/dispatch.ts"
import { BudgetExceededError, CandidatesExhaustedError } from "../spec/errors.ts"
import type { Amount } from "../spec/money.ts"
import type { DispatchCandidate, DispatchOptions, Hold } from "./dispatch-options.ts"
import { FAILURE_HANDLING } from "./failure-handling.ts"
import { ANSWERED, attemptBase, tryCandidate } from "./try-candidate.ts"

/**
 * Calls the candidates in order until one opens, and yields its pieces. Each candidate's money is held before it is
 * called and closed on every way out: answered, failed, aborted, or a reader who walks away. A failure is classified
 * once and the table says what follows; after the first piece that the reader has something of (the commit point) there is no fallback.
 *
 * @throws BudgetExceededError if every candidate was refused; CandidatesExhaustedError if those that were called all
 * failed; the provider's own error, untouched, where the table knows no fallback.
 */
export async function* dispatch<C extends DispatchCandidate, P>(
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
  /** The first refusal of a package, as long as none has sent anything: then it is the call that cannot be. */
  let unaskable: { readonly error: unknown } | undefined
  let cheapestRefusal: { refusal: Refusal; quote: Amount } | undefined

  for (const [index, candidate] of candidates.entries()) {
    if (called > settings.maxFallbackAttempts) break
    const held = (await options.hold?.(candidate)) ?? { granted: true, hold: NOTHING_HELD }
    if (!held.granted) {
      // A refused hold is not a failure: the next candidate may be cheaper.
      report({ ...attemptBase(candidate, settings.now(), 0), outcome: "skipped", because: "unaffordable" })
      if (cheapestRefusal === undefined || held.quote.money < cheapestRefusal.quote.money)
        cheapestRefusal = held
      continue
    }
    called++
    const isLast = index === candidates.length - 1 || called > settings.maxFallbackAttempts
    const ended = yield* tryCandidate(options, candidate, held.hold, isLast, report)
    if (ended === ANSWERED) return
    lastError = ended.error
    unaskable = ended.wasSent ? undefined : (unaskable ?? (called === 1 ? ended : undefined))
    if (!FAILURE_HANDLING[ended.failure].fallback) throw lastError
  }
  if (called === 0 && cheapestRefusal !== undefined) {
    throw new BudgetExceededError(cheapestRefusal.refusal, cheapestRefusal.quote)
  }
  if (unaskable !== undefined) throw unaskable.error
  throw new CandidatesExhaustedError(attempts, lastError)
}

const NOTHING_HELD: Hold = { settle: async () => {}, release: async () => {} }
