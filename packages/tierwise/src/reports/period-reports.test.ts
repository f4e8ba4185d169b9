import { describe, expect, it } from "vitest"
import type { RouteRecord } from "../spec/telemetry.ts"
import { sampleRecord } from "../testing/sample-records.ts"
import { monthlyReport, weeklyReport } from "./period-reports.ts"

const at = (iso: string, tier = "light"): RouteRecord =>
  sampleRecord({ at: Date.parse(iso), tenant: "acme", taskType: "qa", tries: [{ tier }] })
const now = () => Date.parse("2026-01-14T12:00:00Z")

describe("weeklyReport", () => {
  it("makes one report for each ISO week, also across the new year [C8.weekly-reports]", () => {
    // 29 December 2025 is the Monday of 2026's first week.
    const records = [
      at("2026-01-12T00:00:00Z", "heavy"),
      at("2025-12-28T23:59:59Z"),
      at("2026-01-04T23:59:59Z"),
      at("2025-12-29T00:00:00Z"),
      at("2026-01-05T00:00:00Z", "standard"),
    ]
    const { periods, undated } = weeklyReport(records, { now })
    expect(periods.map(({ name, complete }) => [name, complete])).toEqual([
      ["2025-W52", true],
      ["2026-W01", true],
      ["2026-W02", true],
      ["2026-W03", false],
    ])
    expect(periods.map(({ spend }) => spend.total.cost.nanoUsd)).toEqual([100, 200, 300, 1_000])
    expect(periods[1]).toMatchObject({
      unit: "week",
      timeZone: "UTC",
      startsAt: Date.parse("2025-12-29"),
      endsAt: Date.parse("2026-01-05"),
      spend: {
        byTier: [{ key: "light" }],
        byDeployment: [{ key: "small" }],
        byTaskType: [{ key: "qa" }],
        byTenant: [{ key: "acme", requests: 2 }],
        byDay: [{ key: "2025-12-29" }, { key: "2026-01-04" }],
      },
      savings: { total: { alwaysHeavy: { savedPercent: 90 } } },
      mix: { tiers: [{ key: "light", answerPercent: 100 }] },
      suggestions: [],
    })
    expect(undated.count).toBe(0)
  })

  it("compares a week with the one just before it", () => {
    const records = [
      at("2026-01-05T00:00:00Z", "standard"),
      at("2026-01-12T00:00:00Z"),
      at("2026-01-13T00:00:00Z"),
    ]
    const [first, second] = weeklyReport(records, { now }).periods
    expect(first?.change).toBeUndefined()
    expect(second?.change).toEqual({
      requests: { before: 1, difference: 1, percent: 100 },
      answers: { before: 1, difference: 1, percent: 100 },
      tokens: { before: 100, difference: 100, percent: 100 },
      cost: {
        before: { nanoUsd: 300, usd: 3e-7 },
        difference: { nanoUsd: -100, usd: -1e-7 },
        percent: expect.closeTo(-33.333, 3),
      },
      savedPercentBefore: 70,
    })
  })

  it("takes a week without records for one in which nothing was spent", () => {
    const gap = weeklyReport([at("2026-01-01T00:00:00Z"), at("2026-01-13T00:00:00Z")], { now }).periods[1]
    expect(gap?.change).toMatchObject({
      requests: { before: 0, difference: 1, percent: undefined },
      cost: { before: { nanoUsd: 0 }, difference: { nanoUsd: 100 } },
      savedPercentBefore: undefined,
    })
  })

  it("counts what it cannot use in its week, or apart if it does not say when it was", () => {
    const broken = { ...at("2026-01-05T00:00:00Z"), cost: Number.NaN as never }
    const undated = { ...broken, at: Number.NaN }
    const reports = weeklyReport([broken, undated, at("2026-01-06T00:00:00Z")], { now })
    expect(reports.periods.map(({ skipped }) => skipped.count)).toEqual([1])
    expect(reports.undated.count).toBe(1)
  })

  it("suggests within the week only", () => {
    const week = (iso: string) => Array.from({ length: 20 }, () => at(iso))
    const records = [...week("2026-01-05T00:00:00Z"), ...week("2026-01-12T00:00:00Z")]
    const capped = records.map((record) => ({ ...record, attempts: record.attempts.map(longer) }))
    const kinds = (minEvidence: number) =>
      weeklyReport(capped, { now, thresholds: { minEvidence } }).periods.map(({ suggestions }) =>
        suggestions.map(({ kind }) => kind),
      )
    expect(kinds(30)).toEqual([[], []])
    expect(kinds(20)).toEqual([["oversized-output-cap"], ["oversized-output-cap"]])
  })
})

describe("monthlyReport", () => {
  it("makes one report for each month of the zone [C8.monthly-reports]", async () => {
    const records = [at("2026-03-31T21:59:59Z"), at("2026-03-31T22:00:00Z")]
    const inBerlin = { timeZone: "Europe/Berlin", now: () => Date.parse("2026-04-30T22:00:00Z") }
    const { periods } = monthlyReport(records, inBerlin)
    expect(periods.map(({ name, unit, complete }) => [name, unit, complete])).toEqual([
      ["2026-03", "month", true],
      ["2026-04", "month", true],
    ])
    async function* later() {
      yield* records
    }
    expect(await monthlyReport(later(), inBerlin)).toEqual({ periods, undated: { count: 0, first: [] } })
  })
})

/** One token of a cap of a thousand. */
function longer(attempt: RouteRecord["attempts"][number]): RouteRecord["attempts"][number] {
  return attempt.outcome === "answered"
    ? { ...attempt, usage: { ...attempt.usage, inputTokens: 99, outputTokens: 1 } }
    : attempt
}
