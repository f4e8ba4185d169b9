/** How long answers take to begin, by key. */
export interface FirstPieceTimes {
  saw(key: string, ms: number): void
  /** 19 of 20 of the latest answers began before, ms; undefined: too few were seen to tell. */
  p95(key: string): number | undefined
  forget(key: string): void
}

interface Times {
  readonly latest: number[]
  next: number
  seen: number
  p95: number | undefined
}

/** Of so many answers, the latest ones. */
const KEPT = 128

/** Fewer than these have no twentieth. */
const LEAST = 20

/** It is reckoned anew after so many answers. */
const RECKON_EVERY = 16

export function firstPieceTimes(): FirstPieceTimes {
  const byKey = new Map<string, Times>()
  return {
    saw(key, ms) {
      const known = byKey.get(key)
      const times = known ?? { latest: [], next: 0, seen: 0, p95: undefined }
      if (known === undefined) byKey.set(key, times)
      times.latest[times.next] = ms
      times.next = (times.next + 1) % KEPT
      times.seen++
      if (times.seen === LEAST || (times.seen > LEAST && times.seen % RECKON_EVERY === 0))
        times.p95 = p95Of(times.latest)
    },
    p95: (key) => byKey.get(key)?.p95,
    forget: (key) => void byKey.delete(key),
  }
}

/** By nearest rank. */
function p95Of(times: readonly number[]): number | undefined {
  return times.toSorted((a, b) => a - b)[Math.ceil(times.length * 0.95) - 1]
}
