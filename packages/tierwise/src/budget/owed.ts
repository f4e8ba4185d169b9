import { LRUCache } from "lru-cache"

/** What a store still has to be told: it was down when it should have booked. */
export interface Owed {
  /** Tells it again and again, until it is told. The latest under a name counts. */
  add(name: string, tell: () => Promise<unknown>): void
  /** It need not be told any more. Waits for the telling, if it is just under way. */
  drop(name: string): Promise<void>
  /** Tries all, the oldest first, up to one that fails: a store that is down is not asked ten thousand times. */
  flush(): Promise<void>
  /** Tries each once more, also behind one that fails, for 10 seconds at most. Nothing is told afterwards. */
  end(): Promise<void>
  /** How many are left. */
  readonly size: number
  /** How many were never told, and are not tried any more: there were too many, or they cannot heal. */
  readonly givenUp: number
}

/** Beyond it the oldest are given up: their holds expire, and are booked at their quote. */
const MOST_OWED = 10_000

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 15_000

/** A program that ends does not wait longer for a store that takes its time to fail. */
const END_WITHIN_MS = 10_000

/**
 * @param mayHeal false for an error that would come again, whenever the store is told: then it is told no more.
 * @param now ms, from any beginning. Default `performance.now`.
 */
export function owed(
  mayHeal: (error: unknown) => boolean,
  now: () => number = () => performance.now(),
): Owed {
  let givenUp = 0
  const tellings = new LRUCache<string, () => Promise<unknown>>({
    max: MOST_OWED,
    dispose: (_tell, _name, reason) => {
      if (reason === "evict") givenUp++
    },
  })
  let underWay: { readonly name: string; readonly told: Promise<boolean> } | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let pauseMs = FIRST_PAUSE_MS
  let flushing: Promise<void> | undefined
  let stopped = false

  async function tellAll(goesOn: () => boolean): Promise<void> {
    for (const [name, tell] of [...tellings.entries()].reverse()) {
      if (tellings.peek(name) !== tell) continue
      underWay = { name, told: isTold(name, tell) }
      const told = await underWay.told
      // What is owed since, under the same name, is another telling.
      if (tellings.peek(name) !== tell) continue
      if (told) tellings.delete(name)
      else {
        // Behind the others, which it must not keep waiting for ever.
        tellings.set(name, tell)
        if (!goesOn()) return
      }
    }
  }

  async function isTold(name: string, tell: () => Promise<unknown>): Promise<boolean> {
    try {
      await tell()
      return true
    } catch (error) {
      if (mayHeal(error)) return false
      if (tellings.peek(name) === tell) givenUp++
      return true
    }
  }

  function schedule(): void {
    if (timer !== undefined || stopped || tellings.size === 0) return
    timer = setTimeout(() => void tryAgain(), pauseMs)
    // A program that has ended its work does not wait for a store that is gone.
    ;(timer as { unref?: () => void }).unref?.()
  }

  async function tryAgain(): Promise<void> {
    timer = undefined
    const before = tellings.size
    await flush(() => false)
    pauseMs = tellings.size < before ? FIRST_PAUSE_MS : Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    schedule()
  }

  function flush(goesOn: () => boolean): Promise<void> {
    flushing ??= tellAll(goesOn).finally(() => {
      flushing = undefined
    })
    return flushing
  }

  return {
    add(name, tell) {
      tellings.set(name, tell)
      schedule()
    },
    async drop(name) {
      tellings.delete(name)
      if (underWay?.name === name) await underWay.told
    },
    flush: () => flush(() => false),
    async end() {
      stopped = true
      clearTimeout(timer)
      await flushing
      const until = now() + END_WITHIN_MS
      await flush(() => now() < until)
    },
    get size() {
      return tellings.size
    },
    get givenUp() {
      return givenUp
    },
  }
}
