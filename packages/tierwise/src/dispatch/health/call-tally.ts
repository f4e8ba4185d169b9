/** The last calls, counted: so many of them are too many bad ones. */
export interface CallWindow {
  /** How many, 1 to 10,000. Before there were as many, nothing opens. */
  readonly calls: number
  /** Share of them that is too much, above 0 and at most 1. */
  readonly share: number
}

/** The calls of the last time. */
export interface TimeWindow {
  /** How long, ms, > 0. It moves on in tenths: a call counts for nine tenths of it at least. */
  readonly ms: number
  /** Share of them that is too much, above 0 and at most 1. */
  readonly share: number
  /** How many there must be, a positive whole number. Default 10. */
  readonly least?: number | undefined
}

/** Counts good and bad calls. */
export interface CallTally {
  /** True for a bad one that is one too many. A good one never is. */
  isTooMuch(isBad: boolean, at: number): boolean
  clear(): void
}

/** @param failures Bad calls in a row that are too many. */
export function inARow(failures: number): CallTally {
  let bad = 0
  return {
    isTooMuch(isBad) {
      bad = isBad ? bad + 1 : 0
      return bad >= failures
    },
    clear() {
      bad = 0
    },
  }
}

export function ofLastCalls({ calls, share }: CallWindow): CallTally {
  const ring = new Uint8Array(calls)
  let seen = 0
  let bad = 0
  return {
    isTooMuch(isBad) {
      const place = seen % calls
      bad += Number(isBad) - (ring[place] ?? 0)
      ring[place] = Number(isBad)
      seen++
      return isBad && seen >= calls && bad >= share * calls
    },
    clear() {
      ring.fill(0)
      seen = 0
      bad = 0
    },
  }
}

const TENTHS = 10

export const DEFAULT_LEAST_CALLS = 10

export function ofLastTime({ ms, share, least = DEFAULT_LEAST_CALLS }: TimeWindow): CallTally {
  const slots = Array.from({ length: TENTHS }, () => ({ turn: Number.NEGATIVE_INFINITY, calls: 0, bad: 0 }))
  return {
    isTooMuch(isBad, at) {
      const turn = Math.floor(at / (ms / TENTHS))
      let calls = 1
      let bad = Number(isBad)
      for (const slot of slots) {
        // A clock that was set back leaves slots of a time to come: they say nothing of this one.
        if (slot.turn <= turn - TENTHS || slot.turn > turn) continue
        calls += slot.calls
        bad += slot.bad
      }
      count(turn, isBad)
      return isBad && calls >= least && bad >= share * calls
    },
    clear() {
      for (const slot of slots) slot.turn = Number.NEGATIVE_INFINITY
    },
  }

  function count(turn: number, isBad: boolean): void {
    const slot = slots[((turn % TENTHS) + TENTHS) % TENTHS]
    if (slot === undefined) return
    if (slot.turn !== turn) Object.assign(slot, { turn, calls: 0, bad: 0 })
    slot.calls++
    slot.bad += Number(isBad)
  }
}
