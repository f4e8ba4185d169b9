import { describe, expect, it } from "vitest"
import type { BudgetStatus } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { sampleRecord } from "../testing/sample-records.ts"
import { budgetReport, monthlyBudget } from "./budget-report.ts"

const DAY = 86_400_000
const april = Date.parse("2026-04-01T00:00:00Z")
const status: BudgetStatus = {
  scope: "tenant:acme",
  window: "month",
  unit: "NanoUsd",
  limit: 100e9,
  spent: 30e9,
  held: 5e9,
  unconfirmed: 0,
  overrun: 0,
  remaining: 65e9,
  startedAt: april,
  resetsAt: april + 30 * DAY,
}
const records = [
  sampleRecord({ at: april, tenant: "acme", tries: [{ tier: "light" }] }),
  sampleRecord({ at: april + DAY, tenant: "acme", tries: [{ tier: "light", failure: "network" }] }),
  sampleRecord({ at: april + DAY, tenant: "acme", tries: [] }),
  sampleRecord({ at: april - 1, tenant: "acme", tries: [{ tier: "light" }] }),
  sampleRecord({ at: april + 30 * DAY, tenant: "acme", tries: [{ tier: "light" }] }),
  sampleRecord({ at: april, tenant: "other", tries: [{ tier: "light" }] }),
]

describe("budgetReport", () => {
  it("projects the pace so far to the end of the window", () => {
    // 30 USD in 6 of 30 days: 150 USD in all; the limit of 100 USD is reached after 20 days.
    expect(budgetReport(status, april + 6 * DAY)).toMatchObject({
      percentUsed: 30,
      requests: undefined,
      projected: { spent: 150e9, percentUsed: 150, exhaustedAt: april + 20 * DAY },
    })
    const slow = budgetReport(status, april + 15 * DAY).projected
    expect(slow).toEqual({ spent: 60e9, percentUsed: 60, exhaustedAt: undefined })
    expect(budgetReport({ ...status, spent: 0 }, april + 9 * DAY).projected).toMatchObject({ spent: 0 })
  })

  it("says nothing of the future in a window's first hours, or of one without an end", () => {
    expect(budgetReport(status, april + DAY / 2).projected).toBeUndefined()
    const total = { ...status, window: "total", startedAt: undefined, resetsAt: undefined } as const
    expect(budgetReport(total, april + 6 * DAY).projected).toBeUndefined()
  })

  it("counts the requests of its own scope and window that reached a provider", () => {
    expect(budgetReport(status, april, records).requests).toBe(2)
    expect(budgetReport({ ...status, scope: "global:all" }, april, records).requests).toBe(3)
    const colon = sampleRecord({ at: april, tenant: "a:b", tries: [{ tier: "light" }] })
    expect(budgetReport({ ...status, scope: "tenant:a:b" }, april, [colon]).requests).toBe(1)
  })

  it("counts records it cannot use", () => {
    const broken = { ...sampleRecord({ tries: [] }), cost: -1 as never }
    expect(budgetReport(status, april, [broken]).skipped.count).toBe(1)
  })
})

describe("the present moment of a report", () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1, 8.64e15])("is refused where it is none: %d", (at) => {
    expect(() => budgetReport(status, at)).toThrow(
      expect.objectContaining({ constructor: ConfigError, path: "at" }),
    )
  })
})

describe("monthlyBudget", () => {
  it("gives the row that the HTTP door gives [C4.status]", () => {
    expect(monthlyBudget(status, records)).toEqual({
      year: 2026,
      month: 4,
      monthly_limit: 100,
      total_spent: 30,
      remaining: 65,
      percentage_used: 30,
      request_count: 2,
    })
  })

  it("names the month of the budget's own zone", () => {
    const startedAt = Date.parse("2026-03-31T22:00:00Z")
    const berlin = { ...status, startedAt }
    expect(monthlyBudget(berlin, [], "Europe/Berlin")).toMatchObject({ year: 2026, month: 4 })
    expect(() => monthlyBudget(berlin, [])).toThrow("timeZone: no month begins then in UTC")
  })

  it("refuses a limit that is not monthly or not in dollars", () => {
    expect(() => monthlyBudget({ ...status, window: "day" }, [])).toThrow("tenant:acme has a day limit")
    expect(() => monthlyBudget({ ...status, unit: "tokens" }, [])).toThrow("in tokens")
  })
})
