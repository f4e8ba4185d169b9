import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ComplexityEstimate, EstimatorInput } from "../spec/complexity.ts"
import { ConfigError } from "../spec/errors.ts"
import type { RequestFeatures } from "../spec/request.ts"
import {
  difficultyLevel,
  EASY_KEYWORDS,
  HARD_KEYWORDS,
  THREE_FACTOR_WEIGHTS,
  type ThreeFactorOptions,
  threeFactor,
} from "./three-factor.ts"

describe("threeFactor", () => {
  it.each([
    ["Hello", "easy"],
    ["What is the capital of France?", "easy"],
    ["Translate 'good morning' into Spanish, please", "easy"],
    [
      "Compare these two deployment strategies, and explain why one of them costs more to run over a whole year, step " +
        "by step, for a team of five people.",
      "medium",
    ],
    [
      "Our payment service runs in one region today and fails over by hand at night. ".repeat(9) +
        "Design a distributed architecture for it, analyze the trade-offs, and evaluate these:\n- cost\n- latency\n" +
        "What breaks first? What would you measure?",
      "hard",
    ],
  ])("finds %j %s [C1.level]", (ask, level) => {
    expect(difficultyLevel(estimate(ask).score)).toBe(level)
  })

  it("weighs length 40 %, keywords 40 %, structure 20 % [C1.score]", () => {
    expect(THREE_FACTOR_WEIGHTS).toEqual({ length: 0.4, keywords: 0.4, structure: 0.2 })
    const { score, factors } = estimate("Evaluate this. Why? And for whom?\n")
    const { length = 0, keywords = 0, structure = 0 } = factors
    expect(score).toBeCloseTo(0.4 * length + 0.4 * keywords + 0.2 * structure, 12)
    expect(Math.min(length, keywords, structure)).toBeGreaterThan(0)
  })

  it.each([
    [0, 0],
    [15, 0.25],
    [30, 0.5],
    [75, 0.75],
    [120, 1],
    [900, 1],
  ])("makes %d words a length of %d [C1.length]", (words, length) => {
    expect(estimate("word ".repeat(words)).factors["length"]).toBeCloseTo(length, 12)
  })

  it.each([
    ["Name a colour", 0.3],
    ["Define a colour", 0],
    ["Compare two colours", 0.65],
    ["Compare and analyze two colours", 1],
    ["Define a colour, then prove it", 0.35],
  ])("moves the keywords of %j to %d [C1.keywords]", (ask, keywords) => {
    expect(estimate(ask).factors["keywords"]).toBeCloseTo(keywords, 12)
  })

  it.each([
    ["One question?", false, 0],
    ["One? Two?", false, 0.4],
    ["Do\n- this\n- that", false, 0.4],
    ["Fix it", true, 0.6],
    ["Why? How?\n1. this\n2. that", true, 1],
  ])("rates the structure of %j (code: %s) as %d [C1.structure]", (ask, hasCode, structure) => {
    expect(estimate(ask, {}, hasCode).factors["structure"]).toBeCloseTo(structure, 12)
  })

  it("takes the user's own lists, lengths and signs", () => {
    const options: ThreeFactorOptions = {
      complex: ["Bilanz"],
      simple: ["Uhrzeit"],
      lengths: { medium: 1, long: 2 },
      keywordSteps: { neutral: 0.5, complex: 0.5 },
      structureSigns: { code: 1 },
    }
    expect(estimate("Prüfe die Bilanz", options, true)).toMatchObject({ score: 1 })
    expect(estimate("Uhrzeit?", options).factors).toEqual({ length: 0.5, keywords: 0.2, structure: 0 })
  })

  it("believes a score with a keyword more than one without", () => {
    expect(estimate("Compare them").confidence).toBeGreaterThan(estimate("Do it").confidence)
  })

  it.each<[string, ThreeFactorOptions]>([
    ["weights", { weights: { length: 0.5 } }],
    ["weights.keywords", { weights: { keywords: -1 } }],
    ["lengths.medium", { lengths: { medium: 120 } }],
    ["lengths.long", { lengths: { long: Number.POSITIVE_INFINITY } }],
    ["complex[0]", { complex: [""] }],
    ["simple[0]", { simple: ["!"] }],
    ["keywordSteps.neutral", { keywordSteps: { neutral: 2 } }],
    ["structureSigns.list", { structureSigns: { list: -0.1 } }],
  ])("refuses a wrong %s", (path, options) => {
    expect(() => threeFactor(options)).toThrow(ConfigError)
    expect(() => threeFactor(options)).toThrow(expect.objectContaining({ path }))
  })

  it("scores anything between 0 and 1 and never throws [C1.score]", () => {
    const anyString = fc.oneof(
      fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
      fc.array(fc.constantFrom(...HARD_KEYWORDS, ...EASY_KEYWORDS)).map((words) => words.join("?\n- ")),
    )
    fc.assert(
      fc.property(anyString, fc.boolean(), (ask, hasCode) => {
        const { score, confidence, factors } = estimate(ask, {}, hasCode)
        for (const value of [score, confidence, ...Object.values(factors)]) {
          expect(value).toBeGreaterThanOrEqual(0)
          expect(value).toBeLessThanOrEqual(1)
        }
      }),
    )
  })
})

describe("difficultyLevel", () => {
  it.each([
    [0, "easy"],
    [0.299, "easy"],
    [0.3, "medium"],
    [0.699, "medium"],
    [0.7, "hard"],
    [1, "hard"],
  ])("calls %d %s [C1.level]", (score, level) => {
    expect(difficultyLevel(score)).toBe(level)
  })

  it("takes other thresholds, in order", () => {
    expect(difficultyLevel(0.5, { medium: 0.1, hard: 0.5 })).toBe("hard")
    expect(() => difficultyLevel(0.5, { medium: 0.6, hard: 0.5 })).toThrow(ConfigError)
    expect(() => difficultyLevel(0.5, { medium: 0.6, hard: 1.5 })).toThrow("thresholds.hard")
  })
})

function estimate(ask: string, options: ThreeFactorOptions = {}, hasCode = false): ComplexityEstimate {
  const input: EstimatorInput = {
    features: { hasCode } as RequestFeatures,
    text: { ask, earlier: [] },
    request: { messages: [] },
  }
  return threeFactor(options).estimate(input) as ComplexityEstimate
}
