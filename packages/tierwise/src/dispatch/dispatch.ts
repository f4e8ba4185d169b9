import type { Unavailable } from "../spec/dispatch.ts"
import { type Asking, type Entry, newAsking, soonest } from "./asking.ts"
import type { Deadline, DispatchCandidate, DispatchOptions } from "./dispatch-options.ts"
import { LOOK_AGAIN_MS } from "./gatekeeper.ts"
import { type Contender, firstToOpen } from "./hedge.ts"
import { type LinkedAbort, linkedAbort } from "./linked-abort.ts"
import { ANSWERED, MAX_RETRY_PAUSE_MS, tryCandidate } from "./try-candidate.ts"

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
  const asking = newAsking(options)
  let { candidates } = options
  try {
    for (;;) {
      // Those who should answer, then those who stand in for them.
      const { proper, weaker } = byStrength(options, candidates)
      const isAll = weaker.length === 0
      let answered = yield* askInOrder(options, proper, asking, isAll)
      let isBlocked = false
      while (!answered && asking.cheapest !== undefined) {
        // Who failed cannot answer; who was refused could, if there were money.
        const next = (await options.whenRefused?.(asking.cheapest)) ?? "block"
        isBlocked = next === "block"
        if (next !== "ask-again") break
        // Whoever answers at once, each time, must not keep the caller's own signal from firing.
        await settings.pause(settings.retryBaseMs, signal)
        answered = yield* askInOrder(options, asking.takeRefused(), asking, isAll)
      }
      const asksWeaker = !answered && !isAll && !isBlocked
      if (answered || (asksWeaker && (yield* askInOrder(options, weaker, asking, true)))) return
      // Who was only away may be affordable.
      if (!(await somebodyIsBack(asking, options))) throw asking.failure()
      candidates = candidates.filter((candidate) => asking.unavailable.has(candidate))
      asking.unavailable.clear()
      asking.takeRefused()
    }
  } finally {
    options.line?.leave()
  }
}

/** Waits for the first of those who could not be called. False: nobody comes back in time. */
async function somebodyIsBack<C extends DispatchCandidate, P>(
  asking: Asking<C>,
  options: DispatchOptions<C, P>,
): Promise<boolean> {
  const { unavailable, called } = asking
  const { settings, signal, deadline, line } = options
  if (unavailable.size === 0 || called > settings.maxFallbackAttempts) return false
  const isFull = [...unavailable.values()].some(({ because }) => because === "saturated")
  const canQueue = isFull && line !== undefined
  const away = new Map([...unavailable].filter(([, { because }]) => canQueue || !NOT_WAITED_FOR.has(because)))
  const backAt = soonest(away)
  if (canQueue) return (await line.wait(backAt, signal)) === "turn"
  const waitMs = untilBack(backAt, asking, settings.now(), deadline)
  if (waitMs === undefined) return false
  // Others may find out before that somebody is well.
  const pauseMs = Math.min(waitMs, LOOK_AGAIN_MS)
  await settings.pause(pauseMs, signal)
  asking.waitedMs += pauseMs
  return true
}

/** Without a line nobody waits for room, and never for what cannot be. */
const NOT_WAITED_FOR: ReadonlySet<Unavailable> = new Set(["saturated", "too-large"])

/**
 * How long until the first of those who could not be called may be, ms; undefined: nobody knows, or it is too long. Without a
 * deadline as long is waited as for a retry.
 */
function untilBack<C>(
  backAt: number | undefined,
  { waitedMs }: Asking<C>,
  at: number,
  deadline: Deadline | undefined,
): number | undefined {
  if (backAt === undefined) return undefined
  const patienceMs = deadline === undefined ? MAX_RETRY_PAUSE_MS - waitedMs : deadline.at - at
  const waitMs = Math.max(1, backAt - at)
  return waitMs < patienceMs ? waitMs : undefined
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
  const { maxFallbackAttempts } = options.settings
  const queue = [...candidates]
  const contender = (candidate: C, entry: Entry): Contender<C, P> => {
    const isLast = (areLast && queue.length === 0) || asking.called === maxFallbackAttempts
    if (options.hedge === undefined) {
      const run = tryCandidate(options, candidate, entry.hold, entry.pass, isLast, asking.report)
      return { candidate, run, cancel: () => {} }
    }
    const leaving = linkedAbort(options.signal)
    const own = { ...options, signal: leaving.signal }
    const run = tryCandidate(own, candidate, entry.hold, entry.pass, isLast, asking.report)
    const cancel = () => leaving.abort(new Error("another candidate answered first"))
    return { candidate, run: unlinking(run, leaving), cancel }
  }
  const next = async (): Promise<Contender<C, P> | undefined> => {
    for (let candidate = queue.shift(); candidate !== undefined; candidate = queue.shift()) {
      if (asking.called > maxFallbackAttempts) return undefined
      const entry = await asking.enter(candidate)
      if (entry !== undefined) return contender(candidate, entry)
    }
    return undefined
  }
  for (let first = await next(); first !== undefined; first = await next()) {
    // Each generator in between is paid for by every piece.
    const ended =
      options.hedge === undefined ? yield* first.run : yield* firstToOpen(first, options.hedge, next)
    if (ended === ANSWERED) return true
    const failed = Array.isArray(ended) ? ended : [{ candidate: first.candidate, how: ended }]
    for (const { candidate, how } of failed) asking.failed(candidate, how)
  }
  return false
}

function byStrength<C extends DispatchCandidate, P>(
  { isWeaker }: DispatchOptions<C, P>,
  candidates: readonly C[],
) {
  if (isWeaker === undefined) return { proper: candidates, weaker: [] }
  const proper = candidates.filter((candidate) => !isWeaker(candidate))
  return { proper, weaker: candidates.filter(isWeaker) }
}

/** The same run, which lets go of its caller's signal when it ends. */
async function* unlinking<P, T>(
  run: AsyncGenerator<P, T, undefined>,
  { unlink }: Pick<LinkedAbort, "unlink">,
): AsyncGenerator<P, T, undefined> {
  try {
    return yield* run
  } finally {
    unlink()
  }
}
