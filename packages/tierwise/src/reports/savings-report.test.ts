import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { RouteRecord } from "../spec/telemetry.ts"
import { type SampleTry, sampleRecord } from "../testing/sample-records.ts"
import { savingsReport } from "./savings-report.ts"

// NanoUsd per token: light 1, standard 3, heavy 10.
const easy = sampleRecord({ tenant: "a", tries: [{ tier: "light" }] })
const escalated = sampleRecord({
  tenant: "a",
  tries: [
    { tier: "light", rejected: true },
    { tier: "standard", input: 150, output: 50 },
  ],
})
const fallenBack = sampleRecord({
  tenant: "b",
  tries: [{ tier: "heavy", input: 50, failure: "network" }, { tier: "standard" }],
})
const unanswered = sampleRecord({ tenant: "b", tries: [{ tier: "light", input: 40, failure: "aborted" }] })

describe("savingsReport", () => {
  it("compares everything that was spent with three ways to answer the same [E5.cost-reduction]", () => {
    const { total, skipped } = savingsReport([easy, escalated, fallenBack, unanswered])
    // 100 + (100 + 600) + (500 + 300) + 40
    expect(total).toMatchObject({
      requests: 4,
      answers: 3,
      compared: 3,
      spent: { nanoUsd: 1_640, usd: 0.00000164 },
      spentOnOtherAttempts: { nanoUsd: 600 },
      spentWithoutAnswer: { nanoUsd: 40 },
      // 10 × (100 + 200 + 100)
      alwaysHeavy: { cost: { nanoUsd: 4_000 }, saved: { nanoUsd: 2_360 }, savedPercent: 59 },
      alwaysLight: { cost: { nanoUsd: 400 }, saved: { nanoUsd: -1_240 }, savedPercent: -310 },
      // 14 × 100 ÷ 3 = 467, 14 × 200 ÷ 3 = 933, 467
      randomMix: { cost: { nanoUsd: 1_867 }, saved: { nanoUsd: 227 } },
    })
    expect(skipped).toEqual({ count: 0, first: [] })
  })

  it("counts as saved the tokens that were kept from the top tier, its vain attempts deducted [E5.tokens-saved]", () => {
    const { total } = savingsReport([easy, escalated, fallenBack])
    // Always-heavy sends 100 + 200 + 100 to the top; really 50 went there, for nothing.
    expect(total.tokens).toEqual({ answered: 400, atTopTier: 50, saved: 350, savedPercent: 87.5 })
    const atTheTop = sampleRecord({ tries: [{ tier: "heavy", rejected: true }, { tier: "heavy" }] })
    expect(savingsReport([atTheTop]).total.tokens).toMatchObject({ saved: -100, savedPercent: -100 })
  })

  it("tells tenants apart, the biggest spender first [E5.per-tenant]", () => {
    const nobodys = sampleRecord({ tries: [{ tier: "light" }] })
    const { rows } = savingsReport([easy, escalated, fallenBack, unanswered, nobodys])
    expect(rows).toMatchObject([
      { key: "b", spent: { nanoUsd: 840 }, alwaysHeavy: { savedPercent: 16 } },
      { key: "a", spent: { nanoUsd: 800 }, alwaysHeavy: { cost: { nanoUsd: 3_000 } } },
      { key: "default", spent: { nanoUsd: 100 }, alwaysHeavy: { savedPercent: 90 } },
    ])
  })

  it("groups by any scope, also one that is called like a method", () => {
    const record = { ...easy, scopes: { team: "search" } }
    expect(savingsReport([record], { scope: "team" }).rows).toMatchObject([{ key: "search" }])
    expect(savingsReport([record], { scope: "toString" }).rows).toMatchObject([{ key: "default" }])
  })

  it("estimates GPU hours where both sides are known, and says for how many requests [E7.gpu-hours-saved]", () => {
    const onGpu = (record: RouteRecord, used: number, seconds: readonly number[]): RouteRecord => ({
      ...record,
      gpuSeconds: used,
      tierCosts: record.tierCosts.map((cost, index) => ({ ...cost, gpuSeconds: seconds[index] as number })),
    })
    const known = onGpu(easy, 36, [36, 108, 360])
    const inVain = { ...unanswered, gpuSeconds: 36 }
    const { alwaysHeavy, randomMix } = savingsReport([known, fallenBack, inVain]).total
    // 360 s − (36 s + 36 s)
    expect(alwaysHeavy.gpuHours).toEqual({ requests: 2, used: 0.02, baseline: 0.1, saved: 0.08 })
    // (36 + 108 + 360) ÷ 3 = 168 s
    expect(randomMix.gpuHours?.baseline).toBeCloseTo(168 / 3_600, 12)
    expect(savingsReport([easy]).total.alwaysHeavy.gpuHours).toBeUndefined()
  })

  it("compares an answer of an older version with nothing, on neither side", () => {
    const { tierCosts: _, ...old } = escalated
    const { total } = savingsReport([easy, old as RouteRecord])
    expect(total).toMatchObject({
      answers: 2,
      compared: 1,
      spent: { nanoUsd: 100 },
      notCompared: { answers: 1, spent: { nanoUsd: 700 } },
      alwaysHeavy: { savedPercent: 90 },
    })
  })

  it("knows no percentage of a baseline that is free", () => {
    const free = sampleRecord({ tries: [{ tier: "light" }], rates: { light: 0, heavy: 0 } })
    expect(savingsReport([free]).total.alwaysHeavy).toMatchObject({ saved: { nanoUsd: 0 } })
    expect(savingsReport([free]).total.alwaysHeavy.savedPercent).toBeUndefined()
    expect(savingsReport([]).total.tokens.savedPercent).toBeUndefined()
  })

  it("keeps always-light ≤ random mix ≤ always-heavy, and no saving above 100 %", () => {
    const tier = fc.constantFrom("light", "standard", "heavy")
    const tries = fc.array(
      fc.record({
        tier,
        input: fc.nat(10_000),
        output: fc.nat(10_000),
        failure: fc.option(fc.constant("network" as const), { nil: undefined }),
      }) satisfies fc.Arbitrary<SampleTry>,
      { minLength: 1, maxLength: 4 },
    )
    const records = fc.array(fc.record({ tries, tenant: fc.constantFrom("a", "b") }).map(sampleRecord))
    fc.assert(
      fc.property(records, (all) => {
        const { total, rows } = savingsReport(all)
        for (const { alwaysHeavy, alwaysLight, randomMix, tokens } of [total, ...rows]) {
          expect(alwaysLight.cost.nanoUsd).toBeLessThanOrEqual(randomMix.cost.nanoUsd)
          expect(randomMix.cost.nanoUsd).toBeLessThanOrEqual(alwaysHeavy.cost.nanoUsd)
          for (const { savedPercent } of [alwaysHeavy, alwaysLight, randomMix, tokens])
            expect(savedPercent ?? 0).toBeLessThanOrEqual(100)
        }
        const sum = (of: (savings: typeof total) => number) => rows.reduce((all, row) => all + of(row), 0)
        expect(sum(({ spent }) => spent.nanoUsd)).toBe(total.spent.nanoUsd)
        expect(sum(({ alwaysHeavy }) => alwaysHeavy.saved.nanoUsd)).toBe(total.alwaysHeavy.saved.nanoUsd)
        expect(sum(({ randomMix }) => randomMix.cost.nanoUsd)).toBe(total.randomMix.cost.nanoUsd)
        expect(sum(({ tokens }) => tokens.saved)).toBe(total.tokens.saved)
      }),
    )
  })
})
