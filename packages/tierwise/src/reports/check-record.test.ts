import { describe, expect, it } from "vitest"
import { sampleRecord } from "../testing/sample-records.ts"
import { checkRecord } from "./check-record.ts"
import { weeklyReport } from "./period-reports.ts"
import { spendReport } from "./spend-report.ts"

const good = sampleRecord({ id: "g", at: 5, tries: [{ tier: "light" }] })
const [answer] = good.attempts
const poisoned: Readonly<Record<string, unknown>> = {
  cost: { ...good, cost: Number.NaN },
  "attempts.0.cost": { ...good, attempts: [{ ...answer, cost: -1 }] },
  "attempts.0.usage.inputTokens": {
    ...good,
    attempts: [{ ...answer, usage: { inputTokens: 0.5, outputTokens: 0, cachedInputTokens: 0 } }],
  },
  "tierCosts.0.cost": { ...good, tierCosts: [{ tier: "light", deploymentId: "small", cost: -1 }] },
  "attempts.0.usage.outputTokens": {
    ...good,
    attempts: [{ ...answer, usage: { inputTokens: 5, outputTokens: 2e9, cachedInputTokens: 0 } }],
  },
  "tierCosts.1.cost": {
    ...good,
    tierCosts: good.tierCosts.map((one, index) => (index === 1 ? { ...one, cost: 9.1e12 } : one)),
  },
  "plan.candidates.0.quote.money": {
    ...good,
    plan: { ...good.plan, candidates: [{ ...good.plan.candidates[0], quote: { money: 9.1e12, tokens: 1 } }] },
  },
  gpuSeconds: { ...good, gpuSeconds: 1e308 },
  at: { ...good, at: Number.POSITIVE_INFINITY },
  scopes: { ...good, scopes: null },
  "plan.estimate.score": { ...good, plan: { ...good.plan, estimate: { score: "high" } } },
  answeredBy: { ...good, answeredBy: { deploymentId: "large", tier: "heavy" } },
  record: null,
}

describe("checkRecord", () => {
  it.for(Object.entries(poisoned))("names the field of a record with a bad %s", ([path, record]) => {
    const checked = checkRecord(record)
    expect(checked.usable).toBe(false)
    expect(!checked.usable && checked.skipped.problem).toContain(`${path}: `)
  })

  it("refuses a record whose cost is not the sum of its attempts", () => {
    expect(checkRecord({ ...good, cost: 99 })).toEqual({
      usable: false,
      skipped: { id: "g", at: 5, problem: "cost: it is not the sum of its attempts' costs" },
    })
  })

  it("takes a record that has been JSON, and one without tier costs", () => {
    const { tierCosts: _, ...old } = good
    expect(checkRecord(JSON.parse(JSON.stringify(good)))).toMatchObject({ usable: true })
    expect(checkRecord(old)).toMatchObject({ usable: true })
  })
})

describe("a report", () => {
  it("is not lost to one record whose figures agree and cannot be true", () => {
    const huge = sampleRecord({ id: "h", tries: [{ tier: "light", cost: Number.MAX_SAFE_INTEGER }] })
    const { skipped, total } = spendReport([good, huge, good], { by: "tier" })
    expect(skipped.first).toMatchObject([{ id: "h", problem: expect.stringContaining("attempts.0.cost") }])
    expect(total.cost.nanoUsd).toBe(200)
    // What a call may come to, and as many calls as before.
    const dear = sampleRecord({ tries: [{ tier: "light", cost: 9_007_199_254_741 }] })
    expect(spendReport([good, dear], { by: "tier" })).toMatchObject({
      skipped: { count: 0 },
      total: { cost: { nanoUsd: 9_007_199_254_841 } },
    })
  })

  it.for([8.64e15, -8.64e15, Date.parse("9999-12-31T00:00:00Z")])(
    "of weeks and days counts a record of %d ms, a time that has no name, as undated",
    (at) => {
      const lost = { ...good, at }
      for (const timeZone of ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"]) {
        expect(spendReport([lost, good], { by: "day", timeZone }).skipped.count).toBe(1)
        const { periods, undated } = weeklyReport([lost, good], { timeZone })
        expect([periods.length, undated.count]).toEqual([1, 1])
      }
    },
  )

  it.for([0, Date.parse("9999-12-01T00:00:00Z")])("names the weeks and days of %d ms everywhere", (at) => {
    for (const timeZone of ["Pacific/Kiritimati", "Pacific/Pago_Pago"]) {
      const [period] = weeklyReport([{ ...good, at }], { timeZone }).periods
      expect(period?.name).toMatch(/^\d{4}-W\d{2}$/)
      expect(period?.spend.byDay[0]?.key).toMatch(/^\d{4}-\d{2}-\d{2}$/)
    }
  })

  it("skips what it cannot use, counts it, and tells of the first ten", () => {
    const records = [...Array.from({ length: 12 }, () => ({ ...good, cost: -1 })), good] as (typeof good)[]
    const { skipped, total } = spendReport(records, { by: "tier" })
    expect(skipped.count).toBe(12)
    expect(skipped.first).toHaveLength(10)
    expect(total.cost.nanoUsd).toBe(100)
  })

  it("refuses what is no list of records", () => {
    for (const records of [undefined, null, 7, { id: "r" }])
      expect(() => spendReport(records as never, { by: "tier" })).toThrow("records: they are no list")
  })
})
