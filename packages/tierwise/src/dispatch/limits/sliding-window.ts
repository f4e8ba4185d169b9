/** How far back is counted. */
const WINDOW_S = 60

/** One second more than the window, because it seldom begins on a full second. */
const SECONDS = WINDOW_S + 1

/**
 * Counts what was added in the last minute, in 61 buckets of a second each: fixed memory, a few additions per call.
 *
 * What is added counts for more than 60 s and at most 61 s. Whoever adds only what `freeAt` lets pass at once therefore never
 * adds more than the limit in any 60 s, both ends included, wherever they begin; the price is that up to one second in
 * sixty-one is given away. GCRA (a leaky bucket) needs one number instead of 61, but keeps this bound only if bursts are cut
 * to a part of the limit.
 *
 * All amounts are whole numbers, all times epoch ms. A clock that goes back by up to a minute stands still until it is where
 * it was; one that is set back further goes on from there, as if no time had passed.
 */
export interface SlidingWindow {
  /** What counts at this time. */
  sum(at: number): number
  /** Returns where it was added, for `takeBack`. */
  add(amount: number, at: number): number
  /** Takes back part of what was added there, if that still counts. */
  takeBack(amount: number, added: number, at: number): void
  /** The first time at which `amount`, at most `limit`, fits: `at` itself, or when enough of the past has stopped to count. */
  freeAt(amount: number, limit: number, at: number): number
}

export function slidingWindow(): SlidingWindow {
  const buckets = new Float64Array(SECONDS)
  /** Seconds that the window is ahead of the clock, since somebody set that back. */
  let ahead = 0
  let newest = 0
  let sum = 0

  const bucketOf = (second: number) => second % SECONDS
  const countAt = (second: number) => buckets[bucketOf(second)] ?? 0

  function moveTo(at: number): void {
    const second = Math.floor(at / 1000) + ahead
    if (second > newest) forgetUntil(second)
    // The second before the newest: the clock may be at the end of one, and its next must not end the newest early.
    else if (second < newest - WINDOW_S) ahead += newest - 1 - second
  }

  function forgetUntil(second: number): void {
    const steps = Math.min(second - newest, SECONDS)
    for (let step = 1; step <= steps; step++) {
      sum -= countAt(newest + step)
      buckets[bucketOf(newest + step)] = 0
    }
    newest = second
  }

  return {
    sum(at) {
      moveTo(at)
      return sum
    },
    add(amount, at) {
      moveTo(at)
      buckets[bucketOf(newest)] = countAt(newest) + amount
      sum += amount
      return newest
    },
    takeBack(amount, added, at) {
      moveTo(at)
      if (added < newest - WINDOW_S) return
      buckets[bucketOf(added)] = countAt(added) - amount
      sum -= amount
    },
    freeAt(amount, limit, at) {
      moveTo(at)
      if (sum + amount <= limit) return at
      let second = Math.max(newest - WINDOW_S, 0)
      let left = sum - countAt(second)
      while (left + amount > limit && second < newest) left -= countAt(++second)
      return (second + SECONDS - ahead) * 1000
    },
  }
}
