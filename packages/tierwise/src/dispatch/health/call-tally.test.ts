import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type CallTally, inARow, ofLastCalls, ofLastTime } from "./call-tally.ts"

interface Ended {
  readonly isBad: boolean
  readonly at: number
}

const ends = fc.array(fc.record({ isBad: fc.boolean(), waitMs: fc.nat(400) }), { maxLength: 60 })

/** Says what the tally says of each call in turn, and what a plain list of all calls would say. */
function agrees(
  tally: CallTally,
  given: readonly { isBad: boolean; waitMs: number }[],
  isTooMuch: (calls: readonly Ended[]) => boolean,
): void {
  const calls: Ended[] = []
  let at = 1_000_000
  for (const { isBad, waitMs } of given) {
    at += waitMs
    calls.push({ isBad, at })
    expect(tally.isTooMuch(isBad, at)).toBe(isBad && isTooMuch(calls))
  }
}

const bad = (calls: readonly Ended[]) => calls.filter(({ isBad }) => isBad).length

describe("call tallies", () => {
  it("count bad calls in a row", () => {
    fc.assert(
      fc.property(ends, fc.integer({ min: 1, max: 5 }), (given, failures) => {
        agrees(
          inARow(failures),
          given,
          (calls) => calls.length >= failures && bad(calls.slice(-failures)) === failures,
        )
      }),
    )
  })

  it("count the share of the last calls", () => {
    const shares = fc.constantFrom(0.1, 0.5, 0.75, 1)
    fc.assert(
      fc.property(ends, fc.integer({ min: 1, max: 8 }), shares, (given, size, share) => {
        agrees(
          ofLastCalls({ calls: size, share }),
          given,
          (calls) => calls.length >= size && bad(calls.slice(-size)) >= share * size,
        )
      }),
    )
  })

  it("count the share of the last time, in tenths of it", () => {
    fc.assert(
      fc.property(
        ends,
        fc.constantFrom(0.3, 0.5, 1),
        fc.integer({ min: 1, max: 5 }),
        (given, share, least) => {
          agrees(ofLastTime({ ms: 1_000, share, least }), given, (calls) => {
            const turn = ({ at }: Ended) => Math.floor(at / 100)
            const latest = calls.at(-1)
            const recent = calls.filter((call) => latest !== undefined && turn(call) > turn(latest) - 10)
            return recent.length >= least && bad(recent) >= share * recent.length
          })
        },
      ),
    )
  })

  it("begin anew when they are cleared", () => {
    for (const tally of [
      inARow(2),
      ofLastCalls({ calls: 2, share: 1 }),
      ofLastTime({ ms: 10, share: 1, least: 2 }),
    ]) {
      expect(tally.isTooMuch(true, 1)).toBe(false)
      tally.clear()
      expect([tally.isTooMuch(true, 1), tally.isTooMuch(true, 1)]).toEqual([false, true])
    }
  })

  it("go on counting when the clock is set back", () => {
    const tally = ofLastTime({ ms: 1_000, share: 0.5, least: 3 })
    for (let call = 0; call < 2; call++) tally.isTooMuch(true, 100_000)
    const said = [1, 2, 3].map(() => tally.isTooMuch(true, 50_000))
    expect(said).toEqual([false, false, true])
  })
})
