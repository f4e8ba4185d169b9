import type { Attempt } from "../spec/dispatch.ts"
import { BudgetExceededError, CandidatesExhaustedError, TierwiseError } from "../spec/errors.ts"
import type { DispatchCandidate, DispatchOptions, Hold, Refused } from "./dispatch-options.ts"
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
  const { settings, signal } = options
  const { proper, weaker } = byStrength(options)
  const asking: Asking<C> = { attempts: [], skipped: new Set(), called: 0, refused: [], cheapest: undefined }

  const isAll = weaker.length === 0
  let answered = yield* askInOrder(options, proper, asking, isAll)
  while (!answered && asking.cheapest !== undefined) {
    // Who failed cannot answer; who was refused could, if there were money.
    const next = (await options.whenRefused?.(asking.cheapest)) ?? "block"
    if (next === "block") throw failureOf(asking)
    if (next === "downgrade") break
    // Whoever answers at once, each time, must not keep the caller's own signal from firing.
    await settings.pause(settings.retryBaseMs, signal)
    const again = asking.refused
    Object.assign(asking, { refused: [], cheapest: undefined })
    answered = yield* askInOrder(options, again, asking, isAll)
  }
  if (answered || (yield* askInOrder(options, weaker, asking, true))) return
  throw failureOf(asking)
}

/** What has come of those who were asked so far. */
interface Asking<C> {
  readonly attempts: Attempt[]
  /** Told of already. */
  readonly skipped: Set<C>
  called: number
  refused: C[]
  cheapest: Refused | undefined
  lastError?: unknown
  /** The first refusal of a package, as long as none has sent anything: then it is the call that cannot be. */
  unaskable?: { readonly error: unknown } | undefined
}

/**
 * True if one of them has answered.
 *
 * @param areLast Nobody is asked after them.
 * @throws the provider's own error where the table knows no fallback.
 */
async function* askInOrder<C extends DispatchCandidate, P>(
  options: DispatchOptions<C, P>,
  candidates: readonly C[],
  asking: Asking<C>,
  areLast: boolean,
): AsyncGenerator<P, boolean, undefined> {
  const { settings } = options
  const report = (attempt: Attempt) => {
    asking.attempts.push(attempt)
    options.onAttempt?.(attempt)
  }
  /** Not a failure: the next candidate may be cheaper. */
  const refused = (candidate: C, refusal: Refused) => {
    asking.refused.push(candidate)
    asking.cheapest = cheaper(asking.cheapest, refusal)
    asking.skipped.add(candidate)
  }
  for (const [index, candidate] of candidates.entries()) {
    if (asking.called > settings.maxFallbackAttempts) return false
    const held = (await options.hold?.(candidate)) ?? { granted: true, hold: NOTHING_HELD }
    if (!held.granted) {
      const base = attemptBase(candidate, settings.now(), 0)
      if (!asking.skipped.has(candidate)) report({ ...base, outcome: "skipped", because: "unaffordable" })
      refused(candidate, held)
      continue
    }
    const isLast =
      (areLast && index === candidates.length - 1) || asking.called === settings.maxFallbackAttempts
    const ended = yield* tryCandidate(options, candidate, held.hold, isLast, report)
    if (ended === ANSWERED) return true
    if ("refused" in ended) {
      refused(candidate, ended.refused)
      continue
    }
    asking.called++
    asking.lastError = ended.error
    const isUnaskable = !ended.wasSent && (asking.called === 1 || asking.unaskable !== undefined)
    asking.unaskable = isUnaskable ? (asking.unaskable ?? ended) : undefined
    if (!FAILURE_HANDLING[ended.failure].fallback) throw ended.error
  }
  return false
}

function byStrength<C extends DispatchCandidate, P>({ candidates, isWeaker }: DispatchOptions<C, P>) {
  if (isWeaker === undefined) return { proper: candidates, weaker: [] }
  const proper = candidates.filter((candidate) => !isWeaker(candidate))
  return { proper, weaker: candidates.filter(isWeaker) }
}

function failureOf<C>({ called, cheapest, attempts, lastError, unaskable }: Asking<C>): unknown {
  if (called === 0 && cheapest !== undefined) {
    return new BudgetExceededError(cheapest.refusal, cheapest.quote)
  }
  if (isLedgerDown(lastError)) return lastError
  return unaskable === undefined ? new CandidatesExhaustedError(attempts, lastError) : unaskable.error
}

function cheaper(one: Refused | undefined, other: Refused): Refused {
  return one === undefined || other.quote.money < one.quote.money ? other : one
}

/** Says more than that nobody answered. */
function isLedgerDown(error: unknown): boolean {
  return TierwiseError.find(error)?.code === "budget-unavailable"
}

const NOTHING_HELD: Hold = {
  id: undefined,
  keep: () => () => {},
  settle: async () => {},
  release: async () => {},
}
