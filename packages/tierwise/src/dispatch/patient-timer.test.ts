import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { graceMs, patientTimer } from "./patient-timer.ts"

describe("patientTimer", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** A clock that may run ahead of the timers, as it does for a process that is busy. */
  const started = (ms: number) => {
    const onOver = vi.fn<() => void>()
    let aheadMs = 0
    const end = patientTimer(ms, () => Date.now() + aheadMs, onOver)
    return { onOver, end, busyFor: (busyMs: number) => (aheadMs += busyMs) }
  }

  it("calls once when the time is over", () => {
    const { onOver } = started(100)
    vi.advanceTimersByTime(99)
    expect(onOver).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1_000)
    expect(onOver).toHaveBeenCalledTimes(1)
  })

  it("gives the time again in which nobody could listen, up to as much as there was", () => {
    const { onOver, busyFor } = started(100)
    busyFor(60)
    vi.advanceTimersByTime(159)
    expect(onOver).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(onOver).toHaveBeenCalledTimes(1)
    expect([0, 20, 21, 99, 5_000].map((lateMs) => graceMs(lateMs, 100))).toEqual([0, 0, 21, 99, 100])
  })

  it("leaves no timer when it ends, before and after the time is over", () => {
    const early = started(100)
    early.end()
    const late = started(100)
    late.busyFor(60)
    vi.advanceTimersByTime(120)
    late.end()
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(1_000)
    expect([early, late].flatMap(({ onOver }) => onOver.mock.calls)).toEqual([])
  })
})
