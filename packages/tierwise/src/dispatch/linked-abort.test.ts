import { getEventListeners } from "node:events"
import { describe, expect, it } from "vitest"
import { linkedAbort } from "./linked-abort.ts"

describe("linkedAbort", () => {
  it("fires with its parent and its reason, also one that has fired before", () => {
    const parent = new AbortController()
    const early = linkedAbort(parent.signal)
    expect(early.signal.aborted).toBe(false)
    parent.abort(new Error("enough"))
    for (const { signal } of [early, linkedAbort(parent.signal)]) {
      expect(signal.aborted).toBe(true)
      expect(signal.reason).toBe(parent.signal.reason)
    }
  })

  it("fires by itself, and leaves its parent alone", () => {
    const parent = new AbortController()
    const { signal, abort } = linkedAbort(parent.signal)
    abort("late")
    expect([signal.reason, parent.signal.aborted]).toEqual(["late", false])
    const orphan = linkedAbort(undefined)
    orphan.abort("late")
    expect(orphan.signal.aborted).toBe(true)
  })

  it("leaves no listener behind", () => {
    const parent = new AbortController()
    const linked = linkedAbort(parent.signal)
    expect(getEventListeners(parent.signal, "abort")).toHaveLength(1)
    linked.unlink()
    expect(getEventListeners(parent.signal, "abort")).toHaveLength(0)
    parent.abort()
    expect(linked.signal.aborted).toBe(false)
  })
})
