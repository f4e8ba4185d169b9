import { describe, expect, it } from "vitest"
import type { RouteRecord } from "../spec/telemetry.ts"
import { type SampleRecord, sampleRecord } from "../testing/sample-records.ts"
import { costSuggestions } from "./cost-suggestions.ts"

const times = (count: number, sample: SampleRecord) =>
  Array.from({ length: count }, () => sampleRecord(sample))

/** Half the cap is used, so that nothing is said about caps. */
const outputCap = 100
const quiet = { outputCap } as const
const half = { input: 50, output: 50 } as const

const kindsOf = (records: readonly RouteRecord[]) =>
  costSuggestions(records).suggestions.map(({ kind }) => kind)

describe("costSuggestions", () => {
  it("points at easy requests that a dearer tier answers at once [C8.cost-suggestions]", () => {
    const records = [
      ...times(40, { ...quiet, score: 0.1, tries: [{ tier: "standard", ...half }] }),
      ...times(60, { ...quiet, score: 0.1, tries: [{ tier: "light", ...half }] }),
      ...times(90, { ...quiet, score: 0.2, tries: [{ tier: "standard", ...half }] }),
    ]
    expect(costSuggestions(records).suggestions).toMatchObject([
      {
        kind: "easy-requests-above-lowest-tier",
        message: expect.stringContaining(
          "standard answered 40 % of the requests that scored < 0.2 (40 of 100)",
        ),
        evidence: { tier: "standard", lowestTier: "light", easyRequests: 100, answeredHere: 40, percent: 40 },
        // 40 × (300 − 100)
        estimatedSaving: { nanoUsd: 8_000 },
      },
    ])
    expect(kindsOf(records.slice(11))).toEqual([])
  })

  it("does not blame the tier for an easy request that light was asked first", () => {
    const tries = [
      { tier: "light", ...half, rejected: true },
      { tier: "standard", ...half },
    ]
    expect(kindsOf(times(30, { ...quiet, score: 0.1, tries }))).toEqual(["wasted-first-try"])
  })

  it("points at a deployment that mostly fails and is billed for it [C8.cost-suggestions]", () => {
    const failing = { tier: "light", ...half, failure: "timeout" as const }
    const records = [
      ...times(20, { ...quiet, tries: [failing, { tier: "standard", ...half }] }),
      ...times(20, { ...quiet, tries: [{ tier: "light", ...half }] }),
    ]
    expect(costSuggestions(records).suggestions).toMatchObject([
      {
        kind: "failing-deployment",
        evidence: { deploymentId: "small", attempts: 40, failed: 20, percent: 50 },
        estimatedSaving: { nanoUsd: 2_000 },
      },
    ])
    const byTheCaller = { ...failing, failure: "aborted" as const }
    expect(kindsOf(times(40, { ...quiet, tries: [byTheCaller] }))).toEqual([])
    const unbilled = { ...failing, cost: 0 }
    expect(kindsOf(times(40, { ...quiet, tries: [unbilled] }))).toEqual([])
  })

  it("points at a task type whose first answers are nearly always rejected [C8.cost-suggestions]", () => {
    const rejected = [
      { tier: "light", ...half, rejected: true },
      { tier: "standard", ...half },
    ]
    const records = [
      ...times(27, { ...quiet, taskType: "legal", tries: rejected }),
      ...times(3, { ...quiet, taskType: "legal", tries: [{ tier: "light", ...half }] }),
      ...times(30, { ...quiet, taskType: "qa", tries: [{ tier: "light", ...half }] }),
    ]
    expect(costSuggestions(records).suggestions).toMatchObject([
      {
        kind: "wasted-first-try",
        evidence: { taskType: "legal", tier: "light", nextTier: "standard", firstAnswers: 30, escalated: 27 },
        // 27 × 100 − 3 × (300 − 100)
        estimatedSaving: { nanoUsd: 2_100 },
      },
    ])
  })

  it("points at a tier that a stronger one undercuts, the cheapest of those", () => {
    const rates = { light: 1, standard: 12, heavy: 10 }
    expect(
      costSuggestions(times(30, { ...quiet, rates, tries: [{ tier: "standard", ...half }] })).suggestions,
    ).toMatchObject([
      {
        kind: "dominated-tier",
        evidence: { deploymentId: "medium", strongerDeploymentId: "large", answers: 30, percent: 100 },
        estimatedSaving: { nanoUsd: 6_000 },
      },
    ])
    const falling = { light: 12, standard: 11, heavy: 10 }
    expect(
      costSuggestions(times(30, { ...quiet, rates: falling, tries: [{ tier: "light", ...half }] }))
        .suggestions,
    ).toMatchObject([{ evidence: { deploymentId: "small", strongerDeploymentId: "large" } }])
    expect(kindsOf(times(29, { ...quiet, rates, tries: [{ tier: "standard", ...half }] }))).toEqual([])
  })

  it("points at output caps far above any answer, which saves nothing but held money", () => {
    const records = times(30, { outputCap: 1_000, tries: [{ tier: "light", input: 60, output: 40 }] })
    expect(costSuggestions(records).suggestions).toMatchObject([
      {
        kind: "oversized-output-cap",
        evidence: {
          deploymentId: "small",
          outputCap: 1_000,
          longestAnswer: 40,
          p99PercentOfCap: 4,
          suggestedCap: 80,
          quoted: { nanoUsd: 30_000 },
          cost: { nanoUsd: 3_000 },
        },
        estimatedSaving: { nanoUsd: 0 },
      },
    ])
    const withLonger = (count: number, output: number) => [
      ...records,
      ...times(count, { outputCap: 1_000, tries: [{ tier: "light", output }] }),
    ]
    // Two of 32 are more than one in a hundred.
    expect(kindsOf(withLonger(2, 300))).toEqual([])
    // One in a hundred needs nearly the whole cap: twice as much would be more than there is.
    const long = withLonger(1, 900)
    expect(kindsOf([...long, ...records, ...records, ...records])).toEqual([])
  })

  it("points at long prompts that began as one before and were never cached", () => {
    const long = { tier: "light", input: 2_000, output: 50 }
    const records = times(30, { ...quiet, turns: 2, tries: [long] })
    expect(costSuggestions(records).suggestions).toEqual([
      expect.objectContaining({
        kind: "unused-prompt-caching",
        evidence: { deploymentId: "small", longRepeatedPrompts: 30, inputTokens: 60_000, minTokens: 1_024 },
        estimatedSaving: undefined,
      }),
    ])
    expect(kindsOf(times(30, { ...quiet, turns: 1, tries: [long] }))).toEqual([])
    const unsure = records.map((record) => ({ ...record, attempts: record.attempts.map(estimated) }))
    expect(kindsOf(unsure)).toEqual([])
    const cached = sampleRecord({ ...quiet, turns: 2, tries: [{ ...long, cached: 1 }] })
    expect(kindsOf([...records, cached])).toEqual([])
  })

  it("puts the largest saving first, and takes other thresholds", () => {
    const records = [
      ...times(5, { ...quiet, score: 0.1, tries: [{ tier: "heavy", ...half }] }),
      ...times(5, { ...quiet, score: 0.1, tries: [{ tier: "standard", ...half }] }),
    ]
    expect(costSuggestions(records).suggestions).toEqual([])
    const few = costSuggestions(records, { minEvidence: 5 }).suggestions
    expect(few.map(({ estimatedSaving }) => estimatedSaving?.nanoUsd)).toEqual([4_500, 1_000])
    expect(costSuggestions(records, { minEvidence: 5, easyScore: 0.1 }).suggestions).toEqual([])
  })

  it("refuses thresholds out of range, naming them", () => {
    expect(() => costSuggestions([], { easyShare: 1.5 })).toThrow("thresholds.easyShare")
    expect(() => costSuggestions([], { minEvidence: 0 })).toThrow("thresholds.minEvidence")
    expect(() => costSuggestions([], { easyShares: 1 } as never)).toThrow("thresholds")
  })
})

/** As if the provider had reported no usage. */
function estimated(attempt: RouteRecord["attempts"][number]): RouteRecord["attempts"][number] {
  return attempt.outcome === "answered"
    ? { ...attempt, usage: { ...attempt.usage, estimated: true } }
    : attempt
}
