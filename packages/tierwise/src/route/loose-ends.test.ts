import { describe, expect, it, vi } from "vitest"
import { looseEnds } from "./loose-ends.ts"

describe("looseEnds", () => {
  it("are tied when all of them are, those that came meanwhile too", async () => {
    const ends = looseEnds()
    const [one, other] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    ends.add(one.promise)
    let isTied = false
    const isOver = () => {
      isTied = true
    }
    const tied = ends.tied(10_000).then(isOver)
    ends.add(other.promise)
    one.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    expect(isTied).toBe(false)
    other.resolve()
    await tied
  })

  it("are not waited for beyond the time", async () => {
    vi.useFakeTimers()
    try {
      const ends = looseEnds()
      ends.add(new Promise(() => {}))
      const tied = ends.tied(100)
      vi.advanceTimersByTime(100)
      await tied
      await looseEnds().tied(100)
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })
})
