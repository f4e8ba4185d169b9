import { getEventListeners } from "node:events"
import { afterEach, describe, expect, it, vi } from "vitest"
import { pause } from "./pause.ts"

describe("pause", () => {
  afterEach(() => void vi.useRealTimers())

  it("waits as long as it was told, and leaves no listener on the signal", async () => {
    vi.useFakeTimers()
    const { signal } = new AbortController()
    let over = false
    const waiting = (async () => {
      await pause(1_000, signal)
      over = true
    })()
    await vi.advanceTimersByTimeAsync(999)
    expect(over).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    await waiting
    expect(over).toBe(true)
    expect(getEventListeners(signal, "abort")).toEqual([])
  })

  it("rejects with the signal's reason the moment it aborts, and leaves no timer behind", async () => {
    vi.useFakeTimers()
    const abort = new AbortController()
    const reason = new Error("enough")
    const waiting = pause(1_000, abort.signal)
    abort.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    expect(vi.getTimerCount()).toBe(0)
  })

  it("does not begin for a signal that has aborted already", async () => {
    vi.useFakeTimers()
    await expect(pause(1_000, AbortSignal.abort(new Error("before")))).rejects.toThrow("before")
    expect(vi.getTimerCount()).toBe(0)
  })
})
