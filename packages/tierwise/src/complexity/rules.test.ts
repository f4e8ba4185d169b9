import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ComplexityEstimate, Estimator, EstimatorInput } from "../spec/complexity.ts"
import { ConfigError } from "../spec/errors.ts"
import type { RequestFeatures, RouteHints } from "../spec/request.ts"
import { type Rule, type RuleConditions, rules } from "./rules.ts"

const SIMPLE = 0.1
const MEDIUM = 0.5
const COMPLEX = 0.9

/** What a user with a business intelligence assistant would write. */
const DOMAIN_RULES: readonly Rule[] = [
  { name: "comparison", when: { anyOf: ["compare", "vs", "difference between"] }, score: COMPLEX },
  { name: "several-entities", when: { minEntities: 2 }, score: COMPLEX },
  { name: "metric-lookup", when: { attributes: { queryType: ["metric_lookup", "kpi"] } }, score: SIMPLE },
  {
    name: "metric-words",
    when: { startsWith: ["show me", "total"], anyOf: ["revenue", "orders"] },
    score: SIMPLE,
  },
  {
    name: "short-fact",
    when: { startsWith: ["who", "when", "where", "what is", "how many"], maxWords: 10 },
    score: SIMPLE,
  },
]

describe("rules", () => {
  it.each([
    "Compare revenue in Q1 and Q2",
    "Revenue VS. profit, please",
    "What is the difference\nbetween churn and attrition?",
  ])("lets comparison words make a query complex [D1.comparison-words]: %s", (ask) => {
    expect(estimate(ask)).toEqual({ score: COMPLEX, confidence: 1, factors: { "rule:comparison": COMPLEX } })
  })

  it("does not take parts of words for comparison words [D1.comparison-words]", () => {
    expect(estimate("The incomparable canvas of our vsan cluster").score).toBe(MEDIUM)
  })

  it("lets several entities in one field make a query complex [D1.several-entities-in-field]", () => {
    const entities = { metric: ["revenue"], region: ["emea", "apac"] }
    expect(estimate("Sales there", { attributes: { entities } }).score).toBe(COMPLEX)
  })

  it("leaves one entity in each of several fields alone [D1.several-entities-in-field]", () => {
    const entities = { metric: ["revenue"], region: ["emea"] }
    expect(estimate("Sales there", { attributes: { entities } }).score).toBe(MEDIUM)
  })

  it("tells rules by entities in any form and number [D1.entities]", () => {
    const none: Rule = { name: "no-entity", when: { maxEntities: 0 }, score: SIMPLE }
    const several = [{ type: "person" }, { type: "person" }]
    expect(estimate("Hi there, you", { attributes: { entities: [] } }, [none]).score).toBe(SIMPLE)
    expect(estimate("Hi there, you", { attributes: { entities: several } }, [none]).score).toBe(MEDIUM)
    expect(estimate("Hi there, you", { attributes: { entities: several } }).score).toBe(COMPLEX)
  })

  it("tells rules by query type [D1.query-type] [D9.metric-lookup-simple]", () => {
    expect(estimate("Sales there", { attributes: { queryType: "metric_lookup" } }).score).toBe(SIMPLE)
    expect(estimate("Sales there", { attributes: { queryType: "forecast" } }).score).toBe(MEDIUM)
    expect(estimate("Sales there").score).toBe(MEDIUM)
  })

  it.each(["Show me revenue for May", "Hello, show me the orders of last week", "Total orders today"])(
    "knows a metric look-up by its pattern [D1.metric-lookup]: %s",
    (ask) => {
      expect(estimate(ask).score).toBe(SIMPLE)
    },
  )

  it("does not take a pattern's words in other places for it [D1.metric-lookup]", () => {
    expect(estimate("Explain the revenue that you show me here").score).toBe(MEDIUM)
  })

  it.each(["Who founded the company?", "What is our year-over-year growth target for the region?"])(
    "makes a short factual question simple [D9.short-factual-simple]: %s",
    (ask) => {
      expect(estimate(ask).score).toBe(SIMPLE)
    },
  )

  it("makes a long factual question not simple [D9.short-factual-simple]", () => {
    const words = (count: number): string => `Who ${"was ".repeat(count - 1)}`
    expect(estimate(words(10)).score).toBe(SIMPLE)
    expect(estimate(words(11)).score).toBe(MEDIUM)
  })

  it("knows no rule of its own [D1.user-rules]", () => {
    for (const ask of ["Compare A vs B", "Who founded it?", "Show me revenue"]) {
      expect(estimate(ask, {}, []).score).toBe(MEDIUM)
    }
  })

  it("lets the first rule that fits win", () => {
    const first: Rule = { name: "first", when: { anyOf: ["compare"] }, score: 0.2 }
    expect(estimate("Compare these", {}, [first, ...DOMAIN_RULES]).factors).toEqual({ "rule:first": 0.2 })
    expect(estimate("Compare these", {}, [...DOMAIN_RULES, first]).factors).toEqual({
      "rule:comparison": COMPLEX,
    })
  })

  it("can give each domain a strategy of its own [D9.strategy-per-domain]", () => {
    const byDomain: readonly Rule[] = [
      { name: "legal", when: { attributes: { domain: "legal" } }, estimator: fixed(0.95) },
      {
        name: "retail",
        when: { attributes: { domain: "retail" } },
        estimator: rules({ rules: DOMAIN_RULES }),
      },
    ]
    const ask = (domain: string): number =>
      estimate("Who founded the company?", { attributes: { domain } }, byDomain).score
    expect(["legal", "retail", "other"].map(ask)).toEqual([0.95, SIMPLE, MEDIUM])
  })

  it.each<[string, RuleConditions, string, Partial<RequestFeatures>, boolean]>([
    ["allOf", { allOf: ["a", "b"] }, "b and a", {}, true],
    ["allOf", { allOf: ["a", "b"] }, "only a", {}, false],
    ["noneOf", { noneOf: ["draft"] }, "the final text", {}, true],
    ["noneOf", { noneOf: ["draft"] }, "the draft text", {}, false],
    ["minWords", { minWords: 3 }, "one two three", {}, true],
    ["minWords", { minWords: 3 }, "one two", {}, false],
    ["taskType", { taskType: ["qa", "chat"] }, "x", { taskType: "chat" }, true],
    ["taskType", { taskType: "qa" }, "x", { taskType: "chat" }, false],
    ["language", { language: "de" }, "x", { language: "de" }, true],
    ["language", { language: ["de", "fr"] }, "x", { language: "en" }, false],
    ["hasCode", { hasCode: true }, "x", { hasCode: true }, true],
    ["hasCode", { hasCode: false }, "x", { hasCode: true }, false],
    ["two conditions", { minWords: 1, hasCode: true }, "x", { hasCode: true }, true],
    ["two conditions", { minWords: 2, hasCode: true }, "x", { hasCode: true }, false],
  ])("checks %s: %j on %j", (_, when, ask, features, holds) => {
    const estimator = rules({ rules: [{ name: "it", when, score: 1 }], otherwise: fixed(0) })
    expect(estimator.estimate(input(ask, {}, features))).toMatchObject({ score: holds ? 1 : 0 })
  })

  it("takes a function for what data cannot say", () => {
    const rule: Rule = {
      name: "odd",
      when: ({ text }) => text.ask.length % 2 === 1,
      score: 1,
      confidence: 0.4,
    }
    expect(estimate("odd", {}, [rule])).toEqual({ score: 1, confidence: 0.4, factors: { "rule:odd": 1 } })
    expect(estimate("even", {}, [rule]).score).toBe(MEDIUM)
  })

  it("falls back to the five factors", () => {
    const { factors } = rules({ rules: [] }).estimate(
      input("Analyze it", {}, { capabilities: [], contextLength: 0, turns: 1 }),
    ) as ComplexityEstimate
    expect(Object.keys(factors)).toEqual(["message", "context", "capability", "depth", "keywords"])
  })

  it.each<[string, unknown]>([
    ["rules", "compare"],
    ["rules[0].name", [{ when: { maxWords: 3 }, score: 0 }]],
    ["rules[1].name", [rule({ maxWords: 3 }), rule({ maxWords: 4 })]],
    ["rules[0].score", [{ name: "a", when: { maxWords: 3 }, score: 5 }]],
    ["rules[0].confidence", [{ name: "a", when: { maxWords: 3 }, score: 0, confidence: 2 }]],
    ["rules[0].when", [rule({})]],
    ["rules[0].when", [rule(undefined)]],
    ["rules[0].when.maxWord", [rule({ maxWord: 3 })]],
    ["rules[0].when.maxWords", [rule({ maxWords: -1 })]],
    ["rules[0].when.minEntities", [rule({ minEntities: Number.NaN })]],
    ["rules[0].when.anyOf", [rule({ anyOf: [] })]],
    ["rules[0].when.anyOf", [rule({ anyOf: "compare" })]],
    ["rules[0].when.anyOf[1]", [rule({ anyOf: ["vs", "?"] })]],
    ["rules[0].when.startsWith[0]", [rule({ startsWith: [7] })]],
  ])("refuses a wrong %s", (path, wrong) => {
    const build = (): Estimator => rules({ rules: wrong as readonly Rule[] })
    expect(build).toThrow(ConfigError)
    expect(build).toThrow(expect.objectContaining({ path }))
  })

  it("scores anything between 0 and 1 and never throws", () => {
    const anyString = fc.oneof(
      fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
      fc
        .array(fc.constantFrom("compare", "vs", "difference", "between", "show", "me", "hello"))
        .map((w) => w.join(" ")),
    )
    fc.assert(
      fc.property(anyString, fc.anything(), (ask, entities) => {
        const { score, confidence } = estimate(ask, { attributes: { entities } })
        expect([SIMPLE, MEDIUM, COMPLEX]).toContain(score)
        expect(confidence).toBeGreaterThanOrEqual(0)
        expect(confidence).toBeLessThanOrEqual(1)
      }),
    )
  })
})

function estimate(
  ask: string,
  hints: RouteHints = {},
  list: readonly Rule[] = DOMAIN_RULES,
): ComplexityEstimate {
  return rules({ rules: list, otherwise: fixed(MEDIUM) }).estimate(input(ask, hints)) as ComplexityEstimate
}

function fixed(score: number): Estimator {
  return { name: "fixed", estimate: () => ({ score, confidence: 0.5, factors: {} }) }
}

function rule(when: unknown): unknown {
  return { name: "a", when, score: 0 }
}

function input(ask: string, hints: RouteHints = {}, features: Partial<RequestFeatures> = {}): EstimatorInput {
  return {
    features: features as RequestFeatures,
    text: { ask, earlier: [] },
    request: { messages: [], ...hints },
  }
}
