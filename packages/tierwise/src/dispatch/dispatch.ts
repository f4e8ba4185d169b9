import type { Attempt, SkipReason } from "../spec/dispatch.ts"
import { BudgetExceededError, CandidatesExhaustedError, TierwiseError } from "../spec/errors.ts"
import type {
  Deadline,
  DispatchCandidate,
  DispatchOptions,
  Hold,
  HoldOutcome,
  NotAdmitted,
  Pass,
  Refused,
} from "./dispatch-options.ts"
import { ANSWERED, attemptBase, MAX_RETRY_PAUSE_MS, tryCandidate } from "./try-candidate.ts"

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
  const asking: Asking<C> = {
    attempts: [],
    skipped: new Set(),
    called: 0,
    refused: [],
    cheapest: undefined,
    unavailable: new Map(),
    waitedMs: 0,
  }
  let { candidates } = options
  for (;;) {
    if (yield* askByStrength(options, candidates, asking)) return
    if (!(await somebodyIsBack(asking, options))) throw failureOf(asking)
    candidates = candidates.filter((candidate) => asking.unavailable.has(candidate))
    asking.unavailable.clear()
  }
}

/** True if one of them has answered: those who should, or those who stand in for them. */
async function* askByStrength<C extends DispatchCandidate, P>(
  options: DispatchOptions<C, P>,
  candidates: readonly C[],
  asking: Asking<C>,
): AsyncGenerator<P, boolean, undefined> {
  const { settings, signal } = options
  const { proper, weaker } = byStrength(options, candidates)
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
  return answered || (yield* askInOrder(options, weaker, asking, true))
}

/** Waits for the first of those who could not be called. False: nobody comes back in time. */
async function somebodyIsBack<C extends DispatchCandidate, P>(
  asking: Asking<C>,
  options: DispatchOptions<C, P>,
): Promise<boolean> {
  const { unavailable, called } = asking
  const { settings, signal, deadline, waitForRoom } = options
  if (unavailable.size === 0 || called > settings.maxFallbackAttempts) return false
  const isFull = [...unavailable.values()].some(({ because }) => because === "saturated")
  if (isFull && waitForRoom !== undefined) return waitForRoom(soonest(unavailable), signal)
  const waitMs = untilSomebodyIsBack(asking, settings.now(), deadline)
  if (waitMs === undefined) return false
  await settings.pause(waitMs, signal)
  asking.waitedMs += waitMs
  return true
}

/**
 * How long until the first of those who could not be called may be, ms; undefined: nobody knows, or it is too long. Without a
 * deadline as long is waited as for a retry.
 */
function untilSomebodyIsBack<C>(
  { unavailable, waitedMs }: Asking<C>,
  at: number,
  deadline: Deadline | undefined,
): number | undefined {
  const backAt = soonest(unavailable)
  if (backAt === undefined) return undefined
  const patienceMs = deadline === undefined ? MAX_RETRY_PAUSE_MS - waitedMs : deadline.at - at
  const waitMs = Math.max(1, backAt - at)
  return waitMs < patienceMs ? waitMs : undefined
}

function soonest(unavailable: ReadonlyMap<unknown, NotAdmitted>): number | undefined {
  const known = [...unavailable.values()].map(({ until }) => until).filter((until) => until !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

/** What has come of those who were asked so far. */
interface Asking<C> {
  readonly attempts: Attempt[]
  /** Told of already. */
  readonly skipped: Set<C>
  called: number
  /** Who could not be called. */
  readonly unavailable: Map<C, NotAdmitted>
  /** For them, ms. */
  waitedMs: number
  /** Tokens: a context window of that size was too small. */
  tooSmall?: number | undefined
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
  const skip = (candidate: C, because: SkipReason) => {
    if (asking.skipped.has(candidate)) return
    asking.skipped.add(candidate)
    report({ ...attemptBase(candidate, settings.now(), 0), outcome: "skipped", because })
  }
  /** Not a failure: the next candidate may be cheaper. */
  const refused = (candidate: C, refusal: Refused) => {
    asking.refused.push(candidate)
    asking.cheapest = cheaper(asking.cheapest, refusal)
    asking.skipped.add(candidate)
  }
  for (const [index, candidate] of candidates.entries()) {
    if (asking.called > settings.maxFallbackAttempts) return false
    if (asking.tooSmall !== undefined && (options.contextOf?.(candidate) ?? Infinity) <= asking.tooSmall) {
      skip(candidate, "context-too-small")
      continue
    }
    const asked = options.admit?.(candidate, false)
    const admission = asked instanceof Promise ? await asked : asked
    if (admission?.admitted === false) {
      skip(candidate, admission.because)
      asking.unavailable.set(candidate, admission)
      continue
    }
    const pass = admission?.pass
    const held = await holdUnder(pass, options, candidate)
    if (!held.granted) {
      pass?.ended({ ended: "unsent" })
      skip(candidate, "unaffordable")
      refused(candidate, held)
      continue
    }
    const isLast =
      (areLast && index === candidates.length - 1) || asking.called === settings.maxFallbackAttempts
    const ended = yield* tryCandidate(options, candidate, held.hold, pass, isLast, report)
    if (ended === ANSWERED) return true
    if ("refused" in ended) {
      refused(candidate, ended.refused)
      continue
    }
    asking.called++
    asking.lastError = ended.error
    const isUnaskable = !ended.wasSent && (asking.called === 1 || asking.unaskable !== undefined)
    asking.unaskable = isUnaskable ? (asking.unaskable ?? ended) : undefined
    const { fallback, onlyLargerContext } = settings.handling[ended.failure]
    if (!fallback || options.deadline?.isOver() === true) throw ended.error
    if (onlyLargerContext)
      asking.tooSmall = Math.max(asking.tooSmall ?? 0, options.contextOf?.(candidate) ?? 0)
  }
  return false
}

async function holdUnder<C extends DispatchCandidate, P>(
  pass: Pass | undefined,
  { hold }: DispatchOptions<C, P>,
  candidate: C,
): Promise<HoldOutcome> {
  if (hold === undefined) return { granted: true, hold: NOTHING_HELD }
  try {
    return await hold(candidate)
  } catch (error) {
    pass?.ended({ ended: "unsent" })
    throw error
  }
}

function byStrength<C extends DispatchCandidate, P>(
  { isWeaker }: DispatchOptions<C, P>,
  candidates: readonly C[],
) {
  if (isWeaker === undefined) return { proper: candidates, weaker: [] }
  const proper = candidates.filter((candidate) => !isWeaker(candidate))
  return { proper, weaker: candidates.filter(isWeaker) }
}

function failureOf<C>({ called, cheapest, attempts, lastError, unaskable, unavailable }: Asking<C>): unknown {
  if (called === 0 && cheapest !== undefined) {
    return new BudgetExceededError(cheapest.refusal, cheapest.quote)
  }
  if (isLedgerDown(lastError)) return lastError
  return unaskable?.error ?? new CandidatesExhaustedError(attempts, lastError, soonest(unavailable))
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
