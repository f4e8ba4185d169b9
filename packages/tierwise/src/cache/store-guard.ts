/** Asks a store. Undefined if it throws, rejects, does not answer in time, or was not asked at all; never an error. */
export type AskStore = <T>(ask: () => T | Promise<T>) => Promise<T | undefined>

export interface StoreGuardOptions {
  /** How long an answer is waited for, ms. */
  readonly timeoutMs: number
  /** Told what went wrong. What it throws itself is dropped. */
  readonly onProblem: ((error: unknown) => void) | undefined
  /** Epoch ms. */
  readonly now: () => number
}

/**
 * A store that kept a caller waiting is left alone for so long, ms: while it is away, it costs one caller the timeout
 * and not all of them, and no queue of questions piles up in its client.
 */
export const REST_AFTER_TIMEOUT_MS = 1_000

/** A cache may be away at any time, and no call may suffer from it. */
export function storeGuard({ timeoutMs, onProblem, now }: StoreGuardOptions): AskStore {
  let restsUntil = Number.NEGATIVE_INFINITY
  const tell = teller(onProblem)

  return async (ask) => {
    if (now() < restsUntil) return undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => {
        restsUntil = now() + REST_AFTER_TIMEOUT_MS
        tell(new Error(`the cache's store did not answer within ${timeoutMs} ms`))
        resolve(undefined)
      }, timeoutMs)
    })
    const answered = (async () => ask())().catch((error: unknown) => {
      tell(error)
      return undefined
    })
    try {
      return await Promise.race([answered, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

/** `onProblem`, whose own failures are nobody's business. */
export function teller(onProblem: ((error: unknown) => void) | undefined): (error: unknown) => void {
  return (error) => {
    try {
      onProblem?.(error)
    } catch {
      // Whoever is told breaks nothing.
    }
  }
}
