import fc from "fast-check"
import { expect, it } from "vitest"
import { endOf, lasting, leftOf } from "./time-left.ts"

it("lasts no longer than was left of it, by whatever clock, and is over once", () => {
  const jumps = fc.array(fc.record({ waitMs: fc.nat(40), jumpMs: fc.integer({ min: -500, max: 500 }) }))
  fc.assert(
    fc.property(fc.nat(100), jumps, (forMs, jumps) => {
      let at = 1_000
      const it = lasting(at + forMs, at)
      let leftMs = forMs
      for (const { waitMs, jumpMs } of jumps) {
        at += waitMs
        const until = endOf(it, at)
        const nowLeftMs = leftOf(it, at)
        expect(nowLeftMs).toBe(until === undefined ? 0 : until - at)
        expect(nowLeftMs).toBeLessThanOrEqual(leftMs)
        leftMs = nowLeftMs
        at += jumpMs
      }
    }),
  )
})

it("counts on by its clock", () => {
  const it = lasting(100, 0)
  expect([endOf(it, 30), leftOf(it, 30)]).toEqual([100, 70])
  expect([endOf(it, -1_000), leftOf(it, -1_000)]).toEqual([-930, 70])
  expect(leftOf(it, -950)).toBe(20)
  expect([endOf(it, -930), leftOf(it, -930)]).toEqual([undefined, 0])
})
