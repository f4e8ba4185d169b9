import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { slidingWindow } from "./sliding-window.ts"

const LIMIT = 10

interface Added {
  readonly at: number
  readonly amount: number
}

/** What was added at this time or later. */
function addedSince(added: readonly Added[], at: number): number {
  return added.reduce((sum, one) => (one.at >= at ? sum + one.amount : sum), 0)
}

const step = fc.record({
  waitMs: fc.oneof(fc.nat(5), fc.nat(2_000), fc.constantFrom(999, 1_000, 59_999, 60_000, 60_001, 200_000)),
  amount: fc.integer({ min: 1, max: LIMIT }),
})
const steps = fc.array(step, { maxLength: 80 })

describe("slidingWindow", () => {
  it("never lets more than the limit through in any 60 s, and refuses nothing that has room in 61 s", () => {
    fc.assert(
      fc.property(fc.nat(100_000), steps, (start, all) => {
        const window = slidingWindow()
        const added: Added[] = []
        let at = start
        for (const { waitMs, amount } of all) {
          at += waitMs
          const isFree = window.freeAt(amount, LIMIT, at) === at
          expect(isFree || addedSince(added, at - 60_999) + amount > LIMIT).toBe(true)
          if (!isFree) continue
          window.add(amount, at)
          added.push({ at, amount })
          expect(addedSince(added, at - 60_000)).toBeLessThanOrEqual(LIMIT)
        }
      }),
      { numRuns: 500 },
    )
  })

  it("says the very ms from which an amount fits", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: LIMIT }), (all, wanted) => {
        const window = slidingWindow()
        let at = 0
        for (const { waitMs, amount } of all) {
          at += waitMs
          if (window.freeAt(amount, LIMIT, at) === at) window.add(amount, at)
        }
        const freeAt = window.freeAt(wanted, LIMIT, at)
        expect(freeAt).toBeLessThanOrEqual(at + 61_000)
        expect(window.freeAt(wanted, LIMIT, Math.max(at, freeAt - 1))).toBe(freeAt)
        expect(window.freeAt(wanted, LIMIT, freeAt)).toBe(freeAt)
      }),
    )
  })

  it("keeps its bound when the clock is set back, as often as that may be", () => {
    const jump = fc.tuple(step, fc.oneof(fc.constant(0), fc.nat(100_000), fc.nat(4_000)))
    fc.assert(
      fc.property(fc.array(jump, { maxLength: 80 }), (all) => {
        const window = slidingWindow()
        const added: Added[] = []
        let at = 0
        let clock = 50_000_000
        for (const [{ waitMs, amount }, backMs] of all) {
          at += waitMs
          clock += waitMs - backMs
          if (window.freeAt(amount, LIMIT, clock) !== clock) continue
          window.add(amount, clock)
          added.push({ at, amount })
          expect(addedSince(added, at - 60_000)).toBeLessThanOrEqual(LIMIT)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it("keeps its bound when the clock is set back to the last ms of a second", () => {
    const window = slidingWindow()
    window.add(LIMIT, 1_000_999)
    expect(window.sum(1_001_000)).toBe(LIMIT)
    const back = 500_999
    expect(window.sum(back)).toBe(LIMIT)
    expect(window.freeAt(1, LIMIT, back)).toBeGreaterThan(back + 60_000 - 1)
  })

  it("is empty again a minute after the clock was set back by an hour, not an hour", () => {
    const window = slidingWindow()
    window.add(LIMIT, 10_000_000)
    const back = 10_000_000 - 3_600_000
    expect(window.sum(back)).toBe(LIMIT)
    const freeAt = window.freeAt(1, LIMIT, back)
    expect(freeAt).toBeLessThanOrEqual(back + 62_000)
    expect(window.freeAt(1, LIMIT, freeAt)).toBe(freeAt)
  })

  it("takes back what still counts, and nothing of what came later", () => {
    const window = slidingWindow()
    const added = window.add(7, 1_000)
    window.add(2, 2_000)
    window.takeBack(5, added, 3_000)
    expect(window.sum(3_000)).toBe(4)
    window.takeBack(2, added, 70_000)
    expect(window.sum(70_000)).toBe(0)
    // The bucket that it was in counts for somebody else by now.
    window.add(9, 1_000 + 61_000 * 2)
    window.takeBack(2, added, 1_000 + 61_000 * 2)
    expect(window.sum(1_000 + 61_000 * 2)).toBe(9)
  })
})
