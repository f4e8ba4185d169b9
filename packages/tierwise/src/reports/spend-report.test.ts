import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../spec/errors.ts"
import { sampleRecord } from "../testing/sample-records.ts"
import { type SpendGrouping, spendReport } from "./spend-report.ts"

const records = [
  sampleRecord({ tenant: "a", taskType: "qa", tries: [{ tier: "light" }] }),
  sampleRecord({
    tenant: "a",
    taskType: "qa",
    tries: [
      { tier: "light", rejected: true },
      { tier: "standard", input: 150, output: 50 },
    ],
  }),
  sampleRecord({
    tenant: "b",
    tries: [
      { tier: "heavy", input: 50, failure: "network" },
      { tier: "heavy", input: 50, failure: "network" },
      { tier: "standard" },
    ],
  }),
]

describe("spendReport", () => {
  it("gives every deployment what its own attempts cost, whoever answered in the end", () => {
    const { rows, total } = spendReport(records, { by: "deployment" })
    expect(total).toEqual({
      requests: 3,
      answers: 3,
      attempts: 6,
      inputTokens: 550,
      outputTokens: 50,
      cost: { nanoUsd: 2_100, usd: 0.0000021 },
      costPerRequest: { p50: { nanoUsd: 700, usd: 7e-7 }, p95: { nanoUsd: 1_300, usd: 1.3e-6 } },
    })
    expect(rows).toMatchObject([
      { key: "large", requests: 1, answers: 0, attempts: 2, cost: { nanoUsd: 1_000 } },
      { key: "medium", requests: 2, answers: 2, attempts: 2, cost: { nanoUsd: 900 } },
      { key: "small", requests: 2, answers: 1, attempts: 2, cost: { nanoUsd: 200 } },
    ])
    expect(rows[1]?.percent).toBeCloseTo(42.857, 3)
    expect(rows[1]?.costPerRequest).toMatchObject({ p50: { nanoUsd: 300 }, p95: { nanoUsd: 600 } })
  })

  it("says what half and what 95 of 100 requests stay within", () => {
    const twenty = Array.from({ length: 20 }, (_, i) =>
      sampleRecord({ tries: [{ tier: "light", input: i + 1 }] }),
    )
    expect(spendReport(twenty, { by: "tier" }).total.costPerRequest).toMatchObject({
      p50: { nanoUsd: 10 },
      p95: { nanoUsd: 19 },
    })
  })

  it("gives tenants and task types whole requests", () => {
    expect(spendReport(records, { by: "tenant" }).rows).toMatchObject([
      { key: "b", requests: 1, answers: 1, attempts: 3, cost: { nanoUsd: 1_300 } },
      { key: "a", requests: 2, answers: 2, attempts: 3, cost: { nanoUsd: 800 } },
    ])
    expect(spendReport(records, { by: "taskType" }).rows.map(({ key }) => key)).toEqual(["(none)", "qa"])
    const inTeam = records.map((record) => ({ ...record, scopes: { team: "x" } }))
    expect(spendReport(inTeam, { by: { scope: "team" } }).rows).toMatchObject([{ key: "x", requests: 3 }])
  })

  it("begins days where the zone does, clock changes included", () => {
    const at = (iso: string) => sampleRecord({ at: Date.parse(iso), tries: [{ tier: "light" }] })
    // 29 March 2026 has 23 hours in Berlin: it begins at UTC+1 and ends at UTC+2.
    const days = [
      at("2026-03-29T21:59:59.999Z"),
      at("2026-03-28T23:00:00Z"),
      at("2026-03-29T22:00:00Z"),
      at("2026-03-28T22:59:59Z"),
    ]
    const berlin = spendReport(days, { by: "day", timeZone: "Europe/Berlin" }).rows
    expect(berlin.map(({ key, requests }) => [key, requests])).toEqual([
      ["2026-03-28", 1],
      ["2026-03-29", 2],
      ["2026-03-30", 1],
    ])
    expect(spendReport(days, { by: "day" }).rows.map(({ requests }) => requests)).toEqual([2, 2])
    expect(() => spendReport([], { by: "day", timeZone: "Berlin" })).toThrow(ConfigError)
  })

  it("counts requests that reached nobody apart", () => {
    const refused = { ...sampleRecord({ tries: [] }), attempts: [] }
    expect(spendReport([refused], { by: "tier" })).toMatchObject({
      unsent: 1,
      total: { requests: 0, costPerRequest: undefined },
      rows: [],
    })
  })

  it("takes records that come later too", async () => {
    async function* later() {
      yield* records
    }
    const now = spendReport(records, { by: "tier" })
    expect(await spendReport(later(), { by: "tier" })).toEqual(now)
  })

  it("adds up to the total in every grouping", () => {
    const one = fc.record({
      tenant: fc.option(fc.constantFrom("a", "b", "__proto__"), { nil: undefined }),
      taskType: fc.option(fc.constantFrom("qa", "constructor"), { nil: undefined }),
      at: fc.integer({ min: 0, max: 4e12 }),
      tries: fc.array(
        fc.record({
          tier: fc.constantFrom("light", "standard", "heavy"),
          input: fc.nat(1_000),
          output: fc.nat(1_000),
          failure: fc.option(fc.constant("network" as const), { nil: undefined }),
        }),
        { maxLength: 4 },
      ),
    })
    const groupings: SpendGrouping[] = ["deployment", "tier", "taskType", "tenant", "day", { scope: "user" }]
    fc.assert(
      fc.property(fc.array(one.map(sampleRecord)), (all) => {
        const spent = all.reduce((sum, { cost }) => sum + cost, 0)
        for (const by of groupings) {
          const { rows, total } = spendReport(all, { by, timeZone: "Asia/Kathmandu" })
          const sum = (of: (row: typeof total) => number) => rows.reduce((all, row) => all + of(row), 0)
          expect(total.cost.nanoUsd).toBe(spent)
          expect(sum(({ cost }) => cost.nanoUsd)).toBe(spent)
          expect(sum(({ attempts }) => attempts)).toBe(total.attempts)
          expect(sum(({ answers }) => answers)).toBe(total.answers)
          expect(sum((row) => row.inputTokens + row.outputTokens)).toBe(
            total.inputTokens + total.outputTokens,
          )
          const percent = rows.reduce((all, row) => all + (row.percent ?? 0), 0)
          expect(percent).toBeCloseTo(spent > 0 ? 100 : 0, 6)
        }
      }),
    )
  })
})
