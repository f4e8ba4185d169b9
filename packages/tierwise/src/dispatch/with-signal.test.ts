import { getEventListeners } from "node:events"
import { describe, expect, it } from "vitest"
import { withSignal } from "./with-signal.ts"

const forever = new Promise<never>(() => {})

describe("withSignal", () => {
  it("gives what the promise gives, and leaves no listener on a signal that outlives it", async () => {
    const { signal } = new AbortController()
    expect(await withSignal(Promise.resolve("ok"), signal)).toBe("ok")
    await expect(withSignal(Promise.reject(new Error("no")), signal)).rejects.toThrow("no")
    expect(getEventListeners(signal, "abort")).toEqual([])
  })

  it("rejects with the reason the moment the signal aborts", async () => {
    const abort = new AbortController()
    const waiting = withSignal(forever, abort.signal)
    abort.abort(new Error("enough"))
    await expect(waiting).rejects.toThrow("enough")
  })

  it("rejects with the reason of a signal that has aborted already", async () => {
    await expect(withSignal(forever, AbortSignal.abort(new Error("before")))).rejects.toThrow("before")
  })
})
