import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
} from "@langchain/core/messages"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ComplexityEstimate, EstimatorInput } from "../spec/complexity.ts"
import { ConfigError } from "../spec/errors.ts"
import type { RequestFeatures } from "../spec/request.ts"
import { COMPLEX_KEYWORDS, FIVE_FACTOR_WEIGHTS, type FiveFactorOptions, fiveFactor } from "./five-factor.ts"

/** Ways to ask for a security analysis of zero trust and mTLS, of 8 to 30 words. */
const SECURITY_QUESTIONS: readonly string[] = [
  "Analyze our zero-trust architecture and mTLS security posture.",
  "Review how service-to-service mTLS fits our zero trust model",
  "Do a security analysis of mTLS between our services.",
  "Is our mTLS setup enough for zero trust? Where are the security gaps?",
  "Please perform a security analysis of our zero-trust network: mTLS between services, certificate rotation, and " +
    "what an attacker could do after stealing one workload identity.",
  "Evaluate the zero-trust migration plan below. Which threats remain once every service speaks mTLS, and which " +
    "controls would you add first?",
]

describe("fiveFactor", () => {
  it.each(["Hello", "hi", "Hey there", "Hello!", "Thanks", "Bonjour", "你好"])(
    "scores %s as light [E1.hello-light]",
    (greeting) => {
      expect(estimate(greeting).score).toBeLessThan(0.15)
    },
  )

  it("scores a bare greeting as nothing at all", () => {
    expect(estimate("Hello").score).toBe(0)
    expect(estimate("").score).toBe(0)
  })

  it.each(SECURITY_QUESTIONS)("scores as heavy [E1.security-analysis-heavy]: %s", (question) => {
    const features = { contextLength: 2_048, capabilities: ["security_analysis"] }
    expect(estimate(question, features).score).toBeGreaterThan(0.7)
  })

  it("weighs message 30 %, context 15 %, capability 25 %, depth 10 %, keywords 20 % [E1.weighted-sum]", () => {
    expect(FIVE_FACTOR_WEIGHTS).toEqual({
      message: 0.3,
      context: 0.15,
      capability: 0.25,
      depth: 0.1,
      keywords: 0.2,
    })
    const { score, factors } = estimate("How would you migrate our billing database without downtime?", {
      contextLength: 900,
      capabilities: ["planning"],
      turns: 4,
    })
    const { message = 0, context = 0, capability = 0, depth = 0, keywords = 0 } = factors
    const sum = 0.3 * message + 0.15 * context + 0.25 * capability + 0.1 * depth + 0.2 * keywords
    expect(score).toBeCloseTo(sum, 12)
    expect(score).toBeGreaterThan(0)
    expect(score).toBeLessThan(1)
  })

  it("reaches 1 when every factor is full [E1.weighted-sum]", () => {
    const everything = { contextLength: 8_192, capabilities: ["security"], turns: 10 }
    const words =
      "analyze security one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    expect(estimate(`${words} fifteen sixteen seventeen eighteen`, everything).score).toBeCloseTo(1, 12)
  })

  it("returns every factor's value by name [E1.factor-values]", () => {
    const { factors } = estimate("Analyze this architecture", {
      contextLength: 8_192,
      capabilities: ["security"],
    })
    expect(factors).toEqual({
      message: expect.closeTo(0.4 * (3 / 20) + 0.3 * (3 / 10) + 0.3 * (3 / 12), 12),
      context: 1,
      capability: 1,
      depth: 0,
      keywords: 1,
    })
  })

  it("finds longer, richer and longer-winded messages harder [E1.message-complexity]", () => {
    const message = (text: string): number => estimate(text).factors["message"] ?? -1
    expect(message("Count the birds now please or later today")).toBeGreaterThan(message("Count birds"))
    expect(message("red green blue white black grey")).toBeGreaterThan(message("red red red red red red"))
    expect(message("We came and then we saw it all there")).toBeGreaterThan(
      message("We came. Then we. Saw it. All there. And."),
    )
  })

  it("finds a larger declared context harder, up to 8,192 tokens [E1.context-requirement]", () => {
    const context = (contextLength: number): number =>
      estimate("Summarise it", { contextLength }).factors["context"] ?? -1
    expect([0, 255, 8_192, 1_000_000].map(context)).toEqual([
      0,
      expect.closeTo(8 / Math.log2(8_193), 12),
      1,
      1,
    ])
  })

  it.each([
    [[], 0],
    [["small_talk"], 0.3],
    [["code-review"], 0.6],
    [["security_analysis"], 1],
    [["securityAnalysis"], 1],
    [["HIPAA compliance"], 1],
    [["small_talk", "legal.review"], 1],
    [["insecurity"], 0.3],
  ])("rates the capabilities %j as %d [E1.capability-criticality]", (capabilities, value) => {
    expect(estimate("Go on", { capabilities }).factors["capability"]).toBe(value)
  })

  it("finds a deeper conversation harder, up to ten turns [E1.conversation-depth]", () => {
    const depth = (turns: number): number => estimate("Go on", { turns }).factors["depth"] ?? -1
    expect([0, 1, 4, 10, 50].map(depth)).toEqual([0, 0, expect.closeTo(1 / 3, 12), 1, 1])
  })

  it.each([
    ["Name a colour", 0],
    ["Analyze a colour", 0.5],
    ["Analyze the architecture for security", 1],
    ["ANALYZE the Zero Trust idea", 1],
    ["The securityguard reanalyzed it", 0],
  ])("counts the keywords of %j as %d [E1.keyword-signals]", (text, value) => {
    expect(estimate(text).factors["keywords"]).toBe(value)
    expect(COMPLEX_KEYWORDS).toEqual(expect.arrayContaining(["analyze", "architecture", "security"]))
  })

  it("does not change with the bulk of system prompt, tools and tool results", () => {
    const asked = [new HumanMessage("Compare these two plans for me")]
    const bulk: readonly BaseMessage[] = [
      new SystemMessage("Analyze every security threat in depth. ".repeat(900)),
      ...asked,
      new AIMessage({ content: "", tool_calls: [{ id: "1", name: "search", args: {} }] }),
      new ToolMessage({ content: "architecture ".repeat(2_000), tool_call_id: "1" }),
    ]
    const features = { toolsOffered: 3, inputTokens: 12_000, inputBytes: 48_000, toolResultsPending: true }
    const bare = input("Compare these two plans for me")
    const loaded = input("Compare these two plans for me", features)
    const one = fiveFactor().estimate({ ...bare, request: { messages: asked } })
    const other = fiveFactor().estimate({ ...loaded, request: { messages: bulk, tools: [{}, {}, {}] } })
    expect(other).toEqual(one)
  })

  it("lets courtesy change nothing", () => {
    expect(estimate("Hello, please name a colour, thanks").factors["message"]).toBeCloseTo(
      estimate("Name a colour").factors["message"] ?? -1,
      12,
    )
  })

  it("believes itself less the less it has to go by, and never much", () => {
    const known = { contextLength: 100, capabilities: ["planning"] }
    expect(estimate("Name a colour", known).confidence).toBeCloseTo(0.6, 12)
    expect(estimate("Name a colour").confidence).toBeLessThan(0.6)
    expect(estimate("Nenne eine Farbe", { language: "de" }).confidence).toBeLessThan(
      estimate("Name a colour").confidence,
    )
  })

  it("takes the user's own weights, words and saturation points", () => {
    const options: FiveFactorOptions = {
      weights: { message: 0, context: 0, capability: 0, depth: 0, keywords: 1 },
      keywords: ["Schachmatt"],
      saturation: { keywords: 1 },
    }
    expect(estimate("Wie geht schachmatt?", {}, options)).toMatchObject({
      score: 1,
      factors: { keywords: 1 },
    })
    const strict = { criticality: { finance: 0.9 }, otherCriticality: 0 }
    expect(estimate("Go", { capabilities: ["finance_bot", "x"] }, strict).factors["capability"]).toBe(0.9)
  })

  it.each<[string, FiveFactorOptions]>([
    ["weights", { weights: { message: 0.4 } }],
    ["weights.depth", { weights: { depth: -0.1 } }],
    ["weights.depth", { weights: { depth: Number.NaN } }],
    ["weights.mesage", { weights: { mesage: 0.3 } as object }],
    ["messageWeights", { messageWeights: { words: 1 } }],
    ["saturation.words", { saturation: { words: 0 } }],
    ["saturation.turns", { saturation: { turns: 1 } }],
    ["keywords[1]", { keywords: ["fine", "--"] }],
    ["criticality.legal", { criticality: { legal: 2 } }],
    ["otherCriticality", { otherCriticality: -1 }],
  ])("refuses a wrong %s", (path, options) => {
    expect(() => fiveFactor(options)).toThrow(ConfigError)
    expect(() => fiveFactor(options)).toThrow(expect.objectContaining({ path, fix: expect.any(String) }))
  })

  it("accepts weights that add up to 1 but for rounding", () => {
    expect(0.7 + 0.2 + 0.1).not.toBe(1)
    expect(() =>
      fiveFactor({ messageWeights: { words: 0.7, vocabulary: 0.2, sentences: 0.1 } }),
    ).not.toThrow()
  })

  it("scores anything between 0 and 1, the same each time, and never throws [E1.weighted-sum]", () => {
    const anyString = fc.oneof(
      fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
      fc.array(fc.constantFrom(...COMPLEX_KEYWORDS)).map((words) => words.join(" ")),
    )
    const estimator = fiveFactor()
    fc.assert(
      fc.property(
        anyString,
        fc.nat(),
        fc.nat(),
        fc.array(fc.string()),
        (text, contextLength, turns, capabilities) => {
          const one = input(text, { contextLength, turns, capabilities })
          const { score, confidence, factors } = estimator.estimate(one) as ComplexityEstimate
          for (const value of [score, confidence, ...Object.values(factors)]) {
            expect(value).toBeGreaterThanOrEqual(0)
            expect(value).toBeLessThanOrEqual(1)
          }
          expect(estimator.estimate(one)).toEqual({ score, confidence, factors })
        },
      ),
    )
  })
})

function estimate(
  ask: string,
  features: Partial<RequestFeatures> = {},
  options: FiveFactorOptions = {},
): ComplexityEstimate {
  return fiveFactor(options).estimate(input(ask, features)) as ComplexityEstimate
}

function input(ask: string, features: Partial<RequestFeatures> = {}): EstimatorInput {
  return {
    features: {
      inputTokens: 10,
      inputBytes: 40,
      askTokens: 10,
      messages: 1,
      turns: 1,
      toolsOffered: 0,
      toolResultsPending: false,
      images: 0,
      audioClips: 0,
      files: 0,
      mediaBytes: 0,
      wantsSchema: false,
      hasCode: false,
      language: "en",
      taskType: undefined,
      capabilities: [],
      contextLength: 0,
      ...features,
    },
    text: { ask, earlier: [] },
    request: { messages: [new HumanMessage(ask)] },
  }
}
