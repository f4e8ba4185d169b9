import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { stallWatch } from "./stall-watch.ts"

describe("stallWatch", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const watched = () => {
    const onStall = vi.fn<() => void>()
    // It may run ahead of the timers, as it does for a process that is busy.
    let aheadMs = 0
    const watch = stallWatch(100, () => Date.now() + aheadMs, onStall)
    return { onStall, watch, busyFor: (busyMs: number) => (aheadMs += busyMs) }
  }

  it("tells once of a piece that does not come", () => {
    const { onStall, watch } = watched()
    watch.asked()
    vi.advanceTimersByTime(99)
    expect(onStall).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1_000)
    expect(onStall).toHaveBeenCalledTimes(1)
  })

  it("counts from the last piece that was asked for", () => {
    const { onStall, watch } = watched()
    for (let piece = 0; piece < 10; piece++) {
      watch.asked()
      vi.advanceTimersByTime(60)
      watch.arrived()
    }
    watch.asked()
    vi.advanceTimersByTime(99)
    expect(onStall).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(onStall).toHaveBeenCalledTimes(1)
  })

  it("does not count the time of the reader", () => {
    const { onStall, watch } = watched()
    watch.asked()
    watch.arrived()
    vi.advanceTimersByTime(10_000)
    expect(onStall).not.toHaveBeenCalled()
    watch.asked()
    vi.advanceTimersByTime(100)
    expect(onStall).toHaveBeenCalledTimes(1)
  })

  it("gives the time again in which nobody could listen, once for each piece", () => {
    const { onStall, watch, busyFor } = watched()
    watch.asked()
    busyFor(60)
    vi.advanceTimersByTime(100)
    // It had come, and was only not read.
    watch.arrived()
    watch.asked()
    busyFor(90)
    vi.advanceTimersByTime(60 + 49)
    expect(onStall).not.toHaveBeenCalled()
    busyFor(60)
    vi.advanceTimersByTime(1)
    expect(onStall).toHaveBeenCalledTimes(1)
  })

  it("leaves no timer when it ends", () => {
    const { onStall, watch } = watched()
    watch.asked()
    watch.end()
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(1_000)
    expect(onStall).not.toHaveBeenCalled()
  })
})
