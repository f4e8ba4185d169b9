import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { cooldowns } from "./cooldowns.ts"

describe("cooldowns", () => {
  it("last until their time, the longest of them, and say why", () => {
    const { of, waitFor } = world()
    expect(of.cool("a", 100, "rate-limited")).toBe(true)
    expect(of.cool("a", 60, "overloaded")).toBe(false)
    expect(of.of("a")).toEqual({ until: 100, because: "rate-limited" })
    expect(of.cool("a", 200, "quota-exhausted")).toBe(true)
    waitFor(199)
    expect(of.until("a")).toBe(200)
    waitFor(1)
    expect([of.until("a"), of.size]).toEqual([undefined, 0])
    expect(of.cool("a", 200, "over already")).toBe(false)
  })

  it("can be ended", () => {
    const { of } = world()
    of.cool("a", 100, "rate-limited")
    of.clear("a")
    expect(of.until("a")).toBeUndefined()
  })

  it("say when the first of several is free", () => {
    const { of } = world()
    of.cool("a", 300, "")
    of.cool("b", 200, "")
    expect(of.soonest(["a", "b"])).toBe(200)
    expect(of.soonest(["a", "b", "c"])).toBeUndefined()
    expect(of.soonest([])).toBeUndefined()
  })

  it("are as many as may be: what is over goes first, then who is free first", () => {
    const { of, waitFor } = world(2)
    of.cool("a", 10, "")
    of.cool("b", 30, "")
    waitFor(10)
    of.cool("c", 20, "")
    of.cool("d", 40, "")
    expect(["a", "b", "c", "d"].map((key) => of.until(key))).toEqual([undefined, 30, undefined, 40])
  })

  it("last no longer than was left of them when the clock is set back", () => {
    const { of, waitFor, now } = world(2)
    waitFor(5_000)
    of.cool("a", now() + 100, "")
    of.cool("b", now() + 50, "")
    waitFor(30)
    expect(of.until("a")).toBe(now() + 70)
    waitFor(-1_000)
    expect([of.until("a"), of.until("b")]).toEqual([now() + 70, now() + 50])
    // The longest of what is left.
    expect(of.cool("a", now() + 60, "")).toBe(false)
    expect(of.cool("a", now() + 80, "")).toBe(true)
    waitFor(50)
    of.cool("c", now() + 10, "")
    expect([of.until("a"), of.until("b"), of.until("c")]).toEqual([now() + 30, undefined, now() + 10])
  })

  it("keep the longest of what is left, in any order", () => {
    const steps = fc.array(
      fc.record({
        key: fc.constantFrom("a", "b"),
        forMs: fc.integer({ min: -5, max: 50 }),
        waitMs: fc.nat(30),
      }),
    )
    fc.assert(
      fc.property(steps, (steps) => {
        const { of, waitFor, now } = world()
        const untils = { a: 0, b: 0 }
        for (const { key, forMs, waitMs } of steps) {
          of.cool(key, now() + forMs, "")
          untils[key as "a"] = Math.max(untils[key as "a"], now() + forMs)
          waitFor(waitMs)
          for (const [key, until] of Object.entries(untils)) {
            expect(of.until(key)).toBe(until > now() ? until : undefined)
          }
        }
      }),
    )
  })

  it("take no time and no number of keys that is none", () => {
    expect(() => world(0)).toThrow(/^cooldowns\.most: /)
    for (const until of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => world().of.cool("a", until, "")).toThrow(/^cooldown\.until: /)
    }
  })
})

function world(most?: number) {
  let at = 0
  const now = () => at
  return {
    of: cooldowns({ now, most }),
    now,
    waitFor: (ms: number) => {
      at += ms
    },
  }
}
