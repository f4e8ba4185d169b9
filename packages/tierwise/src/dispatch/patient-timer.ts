/** Later than timers mostly are, ms. */
const LATE_MS = 20

/**
 * How much longer to wait for somebody whose time seems to be up, ms; 0: it is. A timer that fires late does so because this
 * process was busy: what came meanwhile has not been read yet, and so the time is not the other side's.
 *
 * @param lateMs How late the timer has fired.
 * @param mostMs As long as was to be waited at first: no more is given in addition.
 */
export function graceMs(lateMs: number, mostMs: number): number {
  return lateMs > LATE_MS ? Math.min(lateMs, mostMs) : 0
}

/**
 * Calls `onOver` once when `ms` have passed in which this process could hear of the other side; twice as long at most.
 * Returns what ends it.
 *
 * @param now Epoch ms.
 */
export function patientTimer(ms: number, now: () => number, onOver: () => void): () => void {
  const dueAt = now() + ms
  let timer = setTimeout(() => {
    const grace = graceMs(now() - dueAt, ms)
    if (grace === 0) onOver()
    else timer = setTimeout(onOver, grace)
  }, ms)
  return () => clearTimeout(timer)
}
