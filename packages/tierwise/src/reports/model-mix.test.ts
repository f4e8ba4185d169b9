import { describe, expect, it } from "vitest"
import { sampleRecord } from "../testing/sample-records.ts"
import { modelMix } from "./model-mix.ts"

const times = (count: number, tier: string) =>
  Array.from({ length: count }, () => sampleRecord({ tries: [{ tier }] }))

describe("modelMix", () => {
  it("says who answers how much, cheapest tier first, and what that saves [B2.model-mix]", () => {
    const mix = modelMix([...times(10, "heavy"), ...times(20, "standard"), ...times(70, "light")])
    expect(mix.tiers.map(({ key, answerPercent }) => [key, answerPercent])).toEqual([
      ["light", 70],
      ["standard", 20],
      ["heavy", 10],
    ])
    // 70 × 100 + 20 × 300 + 10 × 1,000 against 100 × 1,000.
    expect(mix.cost.nanoUsd).toBe(23_000)
    expect(mix.againstAlwaysLarge).toMatchObject({ cost: { nanoUsd: 100_000 }, savedPercent: 77 })
    expect(mix.deployments.map(({ key, answers }) => [key, answers])).toEqual([
      ["small", 70],
      ["medium", 20],
      ["large", 10],
    ])
    expect(mix.tiers[2]?.costPercent).toBeCloseTo(43.478, 3)
  })

  it("reports 85 % saved against always-large where the records say so [B2.savings]", () => {
    const rates = { light: 1, standard: 10, heavy: 100 }
    const of = (count: number, tier: string) =>
      Array.from({ length: count }, () => sampleRecord({ rates, tries: [{ tier }] }))
    // 70 × 1 + 20 × 10 + 10 × 100 = 1,270 of 10,000; 230 more for a failed attempt.
    const failed = sampleRecord({ rates, tries: [{ tier: "heavy", cost: 23_000, failure: "network" }] })
    const mix = modelMix([...of(70, "light"), ...of(20, "standard"), ...of(10, "heavy"), failed])
    expect(mix.againstAlwaysLarge.savedPercent).toBe(85)
  })

  it("counts a tier that was only tried with its cost, not with answers", () => {
    const fallenBack = sampleRecord({ tries: [{ tier: "light", failure: "network" }, { tier: "heavy" }] })
    expect(modelMix([fallenBack]).tiers).toMatchObject([
      { key: "light", answers: 0, answerPercent: 0, cost: { nanoUsd: 100 } },
      { key: "heavy", answers: 1, answerPercent: 100 },
    ])
  })
})
