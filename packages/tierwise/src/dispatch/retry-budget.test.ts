import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../spec/errors.ts"
import { retryBudget } from "./retry-budget.ts"

const clock = (at = 0) => ({ at })

describe("retryBudget", () => {
  it("lets a quiet program retry from its reserve, and then one call in ten", () => {
    const { at } = clock()
    const budget = retryBudget({ reserve: 2, perSecond: 0, now: () => at })
    expect([budget.take(), budget.take(), budget.take()]).toEqual([true, true, false])
    for (let call = 0; call < 9; call++) budget.called()
    expect(budget.take()).toBe(false)
    budget.called()
    expect(budget.take()).toBe(true)
  })

  it("gives a retry back with time", () => {
    const time = clock()
    const budget = retryBudget({ reserve: 1, perSecond: 1, now: () => time.at })
    expect(budget.take()).toBe(true)
    time.at = 999
    expect(budget.take()).toBe(false)
    time.at = 1_000
    expect(budget.take()).toBe(true)
  })

  it("never lets more through than a tenth of the calls, the reserve and the time, whatever comes when", () => {
    const step = fc.record({ calls: fc.nat(30), takes: fc.nat(30), ms: fc.nat(500) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(20), fc.nat(5), (steps, reserve, perSecond) => {
        const time = clock()
        const budget = retryBudget({ reserve, perSecond, now: () => time.at })
        let [calls, taken] = [0, 0]
        for (const one of steps) {
          time.at += one.ms
          for (let i = 0; i < one.calls; i++) budget.called()
          calls += one.calls
          for (let i = 0; i < one.takes; i++) if (budget.take()) taken++
          const most = 0.1 * calls + Math.max(reserve, 1) + (perSecond * time.at) / 1_000
          expect(taken).toBeLessThanOrEqual(most + 1e-6)
        }
      }),
    )
  })

  it("is not shaken by a clock that goes backwards", () => {
    const time = clock(10_000)
    const budget = retryBudget({ reserve: 1, perSecond: 1, now: () => time.at })
    expect(budget.take()).toBe(true)
    time.at = 0
    expect(budget.take()).toBe(false)
  })

  it.each([
    ["share", { share: 1.5 }],
    ["share", { share: Number.NaN }],
    ["perSecond", { perSecond: -1 }],
    ["reserve", { reserve: Number.POSITIVE_INFINITY }],
  ])("refuses a %s that is none", (name, options) => {
    expect(() => retryBudget(options)).toThrow(
      expect.objectContaining({ constructor: ConfigError, path: `retryBudget.${name}` }),
    )
  })
})
