/** Runs steps that all write to one file, those of the same moment in one transaction. */
export interface GroupCommit<Rows> {
  /** Resolves when the step is committed. It may be run more than once, each time on what was committed before it. */
  run<T>(step: (rows: Rows) => T): Promise<T>
  /** Resolves when nothing is waiting any more. */
  idle(): Promise<void>
}

export interface GroupCommitOptions<Rows> {
  /** Runs all steps in one transaction, in order, or throws and leaves everything as it was. */
  readonly transact: (steps: readonly ((rows: Rows) => unknown)[]) => readonly StepOutcome[]
  readonly patience: Patience
}

/** A step that failed has changed nothing; the others of its transaction have. */
export type StepOutcome =
  | { readonly outcome: "done"; readonly answer: unknown }
  | { readonly outcome: "failed"; readonly error: unknown }

/** How a lock of another process is waited for. */
export interface Patience {
  readonly isLocked: (error: unknown) => boolean
  /** In all, ms. */
  readonly timeoutMs: number
  /** In [0, 1). */
  readonly random: () => number
}

interface Waiting<Rows> {
  readonly step: (rows: Rows) => unknown
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
}

/** So many share a transaction at most: some ten milliseconds in which this process does nothing else. */
const MOST_TOGETHER = 512

const FIRST_PAUSE_MS = 1
const LONGEST_PAUSE_MS = 16

export function groupCommit<Rows>({ transact, patience }: GroupCommitOptions<Rows>): GroupCommit<Rows> {
  let waiting: Waiting<Rows>[] = []
  /** So many of the first ones shared a transaction that failed. */
  let alone = 0
  let working: Promise<void> | undefined

  async function work(): Promise<void> {
    // Whoever asks in the same moment comes along; to wait for the next turn of the event loop would cost a lone step half
    // as much again.
    await Promise.resolve()
    await commitNext()
    while (waiting.length > 0) {
      await nextTurn()
      await commitNext()
    }
    working = undefined
  }

  async function commitNext(): Promise<void> {
    let together: readonly Waiting<Rows>[] = []
    try {
      const attempt = () => {
        // Whoever has come while a lock was waited for is taken along.
        together = waiting.slice(0, alone > 0 ? 1 : MOST_TOGETHER)
        return transact(together.map(({ step }) => step))
      }
      const outcomes = atOnce(attempt) ?? (await patiently(attempt, patience))
      waiting = waiting.slice(together.length)
      for (const [index, one] of together.entries()) tell(one, outcomes[index] as StepOutcome)
    } catch (error) {
      // One of them is to blame, and only that one may fail.
      if (together.length > 1 && !(error instanceof StillLocked)) {
        alone = together.length
        return
      }
      waiting = waiting.slice(together.length)
      for (const { reject } of together) reject(error)
    }
    alone = Math.max(0, alone - together.length)
  }

  /** Undefined: it was locked. Mostly it is not, and to wait for what is there already takes time, too. */
  function atOnce<T>(attempt: () => T): T | undefined {
    try {
      return attempt()
    } catch (error) {
      if (patience.isLocked(error)) return undefined
      throw error
    }
  }

  return {
    run<T>(step: (rows: Rows) => T): Promise<T> {
      return new Promise<T>((resolve, reject) => {
        waiting.push({ step, resolve: resolve as (answer: unknown) => void, reject })
        working ??= work()
      })
    },
    idle: async () => working,
  }
}

function tell({ resolve, reject }: Waiting<never>, outcome: StepOutcome): void {
  if (outcome.outcome === "done") resolve(outcome.answer)
  else reject(outcome.error)
}

/** The lock did not come free in time. */
class StillLocked extends Error {}

/** Tries until no other process is in the way, and leaves the event loop free in between. */
export async function patiently<T>(
  attempt: () => T | Promise<T>,
  { isLocked, timeoutMs, random }: Patience,
): Promise<T> {
  const until = performance.now() + timeoutMs
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await attempt()
    } catch (error) {
      if (!isLocked(error)) throw error
      if (performance.now() >= until) {
        throw new StillLocked(`another process has kept it locked for ${timeoutMs} ms`, { cause: error })
      }
    }
    const jittered = pauseMs * (0.5 + random())
    await new Promise((resolve) => setTimeout(resolve, jittered))
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
