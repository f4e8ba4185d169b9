import { describe, expect, it } from "vitest"
import type { BudgetStatus } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { pressureGauge } from "./pressure.ts"

const DAY = 86_400_000

function status(used: Partial<BudgetStatus> & { readonly spent: number }): BudgetStatus {
  return {
    scope: "tenant:acme",
    window: "month",
    unit: "NanoUsd",
    limit: 1_000,
    held: 0,
    unconfirmed: 0,
    overrun: 0,
    remaining: 1_000 - used.spent,
    startedAt: 0,
    resetsAt: 30 * DAY,
    ...used,
  }
}

describe("pressureGauge", () => {
  it("never presses where nothing asks it to", () => {
    expect(pressureGauge({})).toBeUndefined()
    expect(pressureGauge({ downgradeAt: [] })).toBeUndefined()
  })

  it("takes one tier for each share that is used, held money counting as used", () => {
    const gauge = pressureGauge({ downgradeAt: [0.8, 0.95] })
    expect(gauge?.([status({ spent: 799 })], 0)).toBeUndefined()
    expect(gauge?.([status({ spent: 700, held: 100 })], 0)).toMatchObject({ tiersDown: 1 })
    expect(gauge?.([status({ spent: 950 })], 0)).toEqual({
      tiersDown: 2,
      because: "95 % of the month budget of tenant:acme is used",
    })
  })

  it("goes by the limit that presses most", () => {
    const gauge = pressureGauge({ downgradeAt: [0.5, 0.9] })
    const statuses = [status({ spent: 600 }), status({ spent: 950, scope: "user:ada" }), status({ spent: 0 })]
    expect(gauge?.(statuses, 0)).toMatchObject({ tiersDown: 2, because: expect.stringContaining("user:ada") })
  })

  it("presses when a month's money is spent ahead of the month, one tier for every slack", () => {
    const gauge = pressureGauge({ pace: { slack: 0.1 } })
    const on = (day: number, spent: number) => gauge?.([status({ spent })], day * DAY)?.tiersDown
    // A tenth of the month is over, so nine tenths of the slack are left: 90.
    expect(on(3, 100)).toBeUndefined()
    expect(on(3, 189)).toBeUndefined()
    expect(on(3, 190)).toBe(1)
    expect(on(3, 279)).toBe(1)
    expect(on(3, 280)).toBe(2)
    // On the last days there is next to nothing to be ahead of.
    expect(on(27, 909)).toBeUndefined()
    expect(on(27, 910)).toBe(1)
    expect(gauge?.([status({ spent: 500 })], 3 * DAY)?.because).toBe(
      "50 % of the month budget of tenant:acme is used after 10 % of the month",
    )
  })

  it("paces months alone unless told otherwise, and nothing that never ends", () => {
    const daily = status({ spent: 900, window: "day", resetsAt: DAY })
    expect(pressureGauge({ pace: true })?.([daily], 0)).toBeUndefined()
    expect(pressureGauge({ pace: { windows: ["day"] } })?.([daily], 0)).toMatchObject({ tiersDown: 18 })
    const total = status({ spent: 900, window: "total", startedAt: undefined, resetsAt: undefined })
    expect(pressureGauge({ pace: true })?.([total], 0)).toBeUndefined()
  })

  it("looks at money alone: weaker tiers use no fewer tokens", () => {
    const gauge = pressureGauge({ downgradeAt: 0.5, pace: true })
    expect(gauge?.([status({ spent: 990, unit: "tokens" })], 0)).toBeUndefined()
  })

  it("takes clocks that differ, and a month's end, for no reason to press without bound", () => {
    const gauge = pressureGauge({ pace: true })
    const at = (ms: number, spent: number) => gauge?.([status({ spent })], ms)?.tiersDown
    expect(at(30 * DAY, 1_010)).toBeUndefined()
    expect(at(30 * DAY + 1_000, 500)).toBeUndefined()
    expect(at(-20 * 60_000, 0)).toBeUndefined()
    expect(at(30 * DAY - 1, 1_010)).toBe(100)
  })

  it.each([
    [{ downgradeAt: 0 }, "underPressure.downgradeAt"],
    [{ downgradeAt: 1.1 }, "underPressure.downgradeAt"],
    [{ downgradeAt: [0.9, 0.8] }, "underPressure.downgradeAt"],
    [{ downgradeAt: Number.NaN }, "underPressure.downgradeAt"],
    [{ pace: { slack: 0 } }, "underPressure.pace.slack"],
    [{ pace: { slack: 1 } }, "underPressure.pace.slack"],
    [{ pace: { windows: [] } }, "underPressure.pace.windows"],
    [{ pace: { windows: ["minute" as "day"] } }, "underPressure.pace.windows"],
  ])("refuses %j", (options, path) => {
    expect(() => pressureGauge(options)).toThrow(ConfigError)
    expect(() => pressureGauge(options)).toThrow(path)
  })
})
