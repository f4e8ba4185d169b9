import type { RetryBudget } from "./retry-budget.ts"
import { ANSWERED, type Ended } from "./try-candidate.ts"

/** When a second candidate is asked beside the first. */
export interface Hedging<C> {
  /** After so long without a first piece, ms; undefined: not this one. */
  afterMs(candidate: C): number | undefined
  /** What hedges may add to the load. */
  readonly budget: RetryBudget
}

/** A candidate that is being asked. */
export interface Contender<C, P> {
  readonly candidate: C
  readonly run: AsyncGenerator<P, Ended, undefined>
  /** Ends its call; its money is settled. */
  cancel(): void
}

type Failed<C> = { readonly candidate: C; readonly how: Exclude<Ended, typeof ANSWERED> }

/** One step of a contender. */
interface Step<C, P> {
  readonly of: Contender<C, P>
  readonly result: IteratorResult<P, Ended>
}

/** The second is on its way: it needs leave and money first. */
const JOINED = "joined"

/**
 * Asks one, and a second beside it where the first takes longer than it mostly does. Yields the pieces of whoever opens
 * first; the other is cancelled. Returns who failed, where nobody answered.
 *
 * @throws what `second` threw, if the first does not answer.
 */
export async function* firstToOpen<C, P>(
  first: Contender<C, P>,
  hedging: Hedging<C> | undefined,
  second: () => Promise<Contender<C, P> | undefined>,
): AsyncGenerator<P, typeof ANSWERED | readonly Failed<C>[], undefined> {
  const afterMs = hedging?.afterMs(first.candidate)
  if (hedging === undefined || afterMs === undefined) return told(first, yield* first.run)
  hedging.budget.called()
  const running = new Map<Contender<C, P>, Promise<Step<C, P>>>()
  const failed: Failed<C>[] = []
  let isDecided = false
  let joining: Promise<typeof JOINED> | undefined
  let noSecond: { readonly error: unknown } | undefined
  const start = (of: Contender<C, P>) => {
    const step = of.run.next().then((result) => ({ of, result }))
    // Nobody looks at one that joins too late before the winner's answer has ended.
    step.catch(() => {})
    running.set(of, step)
  }
  const join = async (): Promise<typeof JOINED> => {
    try {
      const other = await second()
      if (other === undefined) return JOINED
      // Started in any case: only what has begun gives its leave and money back.
      if (isDecided) other.cancel()
      start(other)
    } catch (error) {
      noSecond = { error }
    }
    return JOINED
  }
  try {
    start(first)
    if ((await inTime([...running.values()], afterMs)) === undefined && hedging.budget.take()) {
      joining = join()
    }
    while (running.size > 0 || joining !== undefined) {
      const step = await Promise.race([...running.values(), ...(joining === undefined ? [] : [joining])])
      if (step === JOINED) {
        joining = undefined
        continue
      }
      const { of, result } = step
      running.delete(of)
      if (result.done === true) {
        if (result.value === ANSWERED) return ANSWERED
        failed.push({ candidate: of.candidate, how: result.value })
        continue
      }
      isDecided = true
      for (const other of running.keys()) other.cancel()
      const ended = yield* restOf(of, result.value)
      return ended === ANSWERED ? ANSWERED : [...failed, { candidate: of.candidate, how: ended }]
    }
    if (noSecond !== undefined) throw noSecond.error
    return failed
  } finally {
    isDecided = true
    await joining
    await endAll(running)
  }
}

/** A reader who leaves at the first piece leaves the run. */
async function* restOf<C, P>({ run }: Contender<C, P>, first: P): AsyncGenerator<P, Ended, undefined> {
  try {
    yield first
    return yield* run
  } finally {
    await run.return(undefined as never)
  }
}

function told<C, P>({ candidate }: Contender<C, P>, ended: Ended): typeof ANSWERED | readonly Failed<C>[] {
  return ended === ANSWERED ? ANSWERED : [{ candidate, how: ended }]
}

/** Whatever is under way is cancelled and waited for: its attempt is written down, and its money settled. */
async function endAll<C, P>(running: ReadonlyMap<Contender<C, P>, Promise<Step<C, P>>>): Promise<void> {
  for (const of of running.keys()) of.cancel()
  await Promise.allSettled(running.values())
  await Promise.allSettled([...running.keys()].map(async ({ run }) => run.return(undefined as never)))
}

/** The first of these, or undefined when the time is over. */
async function inTime<T>(steps: readonly Promise<T>[], ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const over = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([...steps, over])
  } finally {
    clearTimeout(timer)
  }
}
