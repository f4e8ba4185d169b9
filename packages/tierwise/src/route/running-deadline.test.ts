import { getEventListeners } from "node:events"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { runningDeadline } from "./running-deadline.ts"

describe("runningDeadline", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("fires when its time is over, and says so", () => {
    const deadline = runningDeadline(100, undefined, () => 5_000, undefined)
    expect(deadline).toMatchObject({ ms: 100, at: 5_100 })
    vi.advanceTimersByTime(99)
    expect([deadline.isOver(), deadline.signal.aborted]).toEqual([false, false])
    vi.advanceTimersByTime(1)
    expect(deadline.isOver()).toBe(true)
    expect(deadline.signal.reason).toMatchObject({ name: "TimeoutError" })
  })

  it("fires with its caller's signal, and is not over then", () => {
    const caller = new AbortController()
    const deadline = runningDeadline(100, undefined, Date.now, caller.signal)
    caller.abort(new Error("enough"))
    expect(deadline.signal.reason).toBe(caller.signal.reason)
    expect(deadline.isOver()).toBe(false)
    deadline.end()
  })

  it("leaves no timer, and nothing on its caller's signal", () => {
    const { signal } = new AbortController()
    const deadline = runningDeadline(100, undefined, Date.now, signal)
    expect(getEventListeners(signal, "abort")).toHaveLength(1)
    deadline.end()
    expect(getEventListeners(signal, "abort")).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  it.each([
    ["a router without one", 100, undefined, undefined],
    ["a caller in more haste than usual", 99, 100, undefined],
    ["the usual one", 100, 100, 100],
    ["a caller who is more patient than usual", 5_000, 100, 100],
  ])("is for %s as fair as the usual one is", (_, ms, usualMs, fairMs) => {
    const deadline = runningDeadline(ms, usualMs, Date.now, undefined)
    expect(deadline.fairMs).toBe(fairMs)
    deadline.end()
  })
})
