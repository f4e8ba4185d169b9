/** When something ends, by a clock that may be set meanwhile. */
export interface Lasting {
  /** Epoch ms. */
  until: number
  /** What was left of it when it was last looked at, ms. */
  leftMs: number
}

export function lasting(until: number, at: number): Lasting {
  return { until, leftMs: until - at }
}

/**
 * Epoch ms; undefined: it is over. A clock that was set back does not make it longer: it goes on with what was left when it
 * was last looked at. What was over once stays so.
 */
export function endOf(it: Lasting, at: number): number | undefined {
  const leftMs = it.until - at
  if (leftMs > it.leftMs) it.until = at + it.leftMs
  else it.leftMs = leftMs
  return it.leftMs > 0 ? it.until : undefined
}

/** ms, 0 when it is over. */
export function leftOf(it: Lasting, at: number): number {
  return Math.max(0, (endOf(it, at) ?? at) - at)
}
