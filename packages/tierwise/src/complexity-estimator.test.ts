import { AIMessage, HumanMessage, SystemMessage } from "@langchain/core/messages"
import { ChatPromptTemplate } from "@langchain/core/prompts"
import { Runnable, RunnableLambda } from "@langchain/core/runnables"
import { tool } from "@langchain/core/tools"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as zod from "zod"
import { fiveFactor } from "./complexity/five-factor.ts"
import { rules } from "./complexity/rules.ts"
import {
  ComplexityEstimator,
  type ComplexityEstimatorInput,
  type ComplexityEstimatorOptions,
  type ComplexityResult,
} from "./complexity-estimator.ts"
import { readFeatures } from "./features/read-features.ts"
import type { Estimator } from "./spec/complexity.ts"
import { ConfigError, InvalidRequestError } from "./spec/errors.ts"

const SECURITY_QUESTION =
  "Analyze our zero-trust architecture: is mTLS between all services enough for security?"

describe("ComplexityEstimator", () => {
  it("recommends light for Hello [E1.hello-light] [E1.recommended-tier]", async () => {
    const { score, tier } = await new ComplexityEstimator().invoke("Hello")
    expect(score).toBeLessThan(0.3)
    expect(tier).toBe("light")
  })

  it("recommends heavy for a security analysis [E1.security-analysis-heavy] [E1.recommended-tier]", async () => {
    const { score, tier } = await new ComplexityEstimator().invoke({
      message: SECURITY_QUESTION,
      contextLength: 2_048,
      capabilities: ["security_analysis"],
    })
    expect(score).toBeGreaterThan(0.7)
    expect(tier).toBe("heavy")
  })

  it("takes message, context length, capabilities and history length, and each counts [E1.inputs]", async () => {
    const estimator = new ComplexityEstimator()
    const plain = await estimator.invoke({ message: "Go on with it" })
    const context = await estimator.invoke({ message: "Go on with it", contextLength: 4_000 })
    const capable = await estimator.invoke({ message: "Go on with it", capabilities: ["compliance"] })
    const deep = await estimator.invoke({ message: "Go on with it", historyLength: 9 })
    expect(context.factors).toEqual({ ...plain.factors, context: expect.closeTo(0.92, 2) })
    expect(capable.factors).toEqual({ ...plain.factors, capability: 1 })
    expect(deep.factors).toEqual({ ...plain.factors, depth: 1 })
  })

  it("gives a history's length the weight of as many turns [E1.conversation-depth]", async () => {
    const estimator = new ComplexityEstimator()
    const conversation = ["One", "Two", "Three"].flatMap((text) => [
      new HumanMessage(text),
      new AIMessage("Fine"),
    ])
    const talked = await estimator.invoke([...conversation, new HumanMessage("Go on")])
    expect(await estimator.invoke({ message: "Go on", historyLength: 3 })).toEqual(talked)
  })

  it("reads texts, messages, message-likes, prompts and { message } alike", async () => {
    const estimator = new ComplexityEstimator()
    const text = "Compare the two plans"
    const prompt = await ChatPromptTemplate.fromTemplate("Compare the two {what}").invoke({ what: "plans" })
    const expected = await estimator.invoke(text)
    const forms: readonly ComplexityEstimatorInput[] = [
      [new HumanMessage(text)],
      [["human", text]],
      [{ role: "user", content: text }],
      prompt,
      { message: text },
      { message: new HumanMessage({ content: [{ type: "text", text }] }) },
    ]
    for (const form of forms) expect(await estimator.invoke(form)).toEqual(expected)
  })

  it("is a Runnable: works in a batch and in a chain [L2.estimator-runnable]", async () => {
    const estimator = new ComplexityEstimator()
    expect(Runnable.isRunnable(estimator)).toBe(true)
    const results = await estimator.batch(["Hello", SECURITY_QUESTION])
    expect(results.map(({ tier }) => tier)).toEqual(["light", "standard"])

    const chain = ChatPromptTemplate.fromTemplate("{greeting}")
      .pipe(estimator)
      .pipe(RunnableLambda.from(({ tier }: ComplexityResult) => `use ${tier}`))
    expect(await chain.invoke({ greeting: "Hello" })).toBe("use light")
  })

  it("is traced as a run of its own, with its result [L2.estimator-runnable]", async () => {
    const ended: unknown[] = []
    const started: unknown[] = []
    const result = await new ComplexityEstimator().invoke("Hello", {
      runName: "how-hard",
      callbacks: [
        {
          handleChainStart: (_chain, _inputs, _runId, _parent, _tags, _metadata, _type, name) => {
            started.push(name)
          },
          handleChainEnd: (outputs) => {
            ended.push(outputs)
          },
          awaitHandlers: true,
        },
      ],
    })
    expect(started).toEqual(["how-hard"])
    expect(ended).toEqual([result])
  })

  it("names itself as LangChain wants", () => {
    expect(ComplexityEstimator.lc_name()).toBe("ComplexityEstimator")
    expect(new ComplexityEstimator().getName()).toBe("ComplexityEstimator")
    expect(new ComplexityEstimator().lc_namespace).toEqual(["tierwise"])
  })

  it.each([
    [0, "light"],
    [0.299, "light"],
    [0.3, "standard"],
    [0.699, "standard"],
    [0.7, "heavy"],
    [1, "heavy"],
  ])("recommends for a score of %d the tier %s [E2.thresholds]", async (score, tier) => {
    expect(await new ComplexityEstimator({ estimator: fixed(score) }).invoke("x")).toMatchObject({
      score,
      tier,
    })
  })

  it("takes other tiers and thresholds", async () => {
    const estimator = new ComplexityEstimator({
      estimator: fixed(0.5),
      tiers: ["tiny", "small", "big", "huge"],
      thresholds: [0.1, 0.5, 0.9],
    })
    expect((await estimator.invoke("x")).tier).toBe("big")
  })

  it("sends simple queries to a small model and complex ones to a large [D1.simple-small] [D1.complex-large]", async () => {
    const estimator = new ComplexityEstimator({
      estimator: rules({
        rules: [
          { name: "comparison", when: { anyOf: ["compare", "vs", "difference between"] }, score: 0.9 },
          { name: "fact", when: { startsWith: ["who", "what is"], maxWords: 10 }, score: 0.1 },
        ],
      }),
      tiers: ["small", "large"],
    })
    expect(await estimator.invoke("Who founded the company?")).toMatchObject({ tier: "small" })
    expect(await estimator.invoke("Who is better, Alice vs Bob?")).toMatchObject({ tier: "large" })
  })

  it("waits for an estimator that takes its time", async () => {
    const slow: Estimator = { name: "slow", estimate: async (input) => await fixed(0.8).estimate(input) }
    expect((await new ComplexityEstimator({ estimator: slow }).invoke("x")).tier).toBe("heavy")
  })

  it("gives exactly the same with a long system prompt and 32 tools", async () => {
    const messages = [new HumanMessage("Compare the two plans")]
    const system = new SystemMessage("Analyze the security of everything, with care. ".repeat(900))
    const tools = Array.from({ length: 32 }, (_, index) =>
      tool(() => "", {
        name: `architecture_${index}`,
        description: "Security",
        schema: zod.object({ a: zod.string() }),
      }),
    )
    const bare = { messages }
    const loaded = { messages: [system, ...messages], tools }
    const one = fiveFactor().estimate({ ...readFeatures(bare), request: bare })
    const other = fiveFactor().estimate({ ...readFeatures(loaded), request: loaded })
    expect(other).toEqual(one)
    expect(readFeatures(loaded).features.inputTokens).toBeGreaterThan(6_000)
    const estimator = new ComplexityEstimator()
    expect(await estimator.invoke([system, ...messages])).toEqual(await estimator.invoke(messages))
  })

  it.each<[string, unknown]>([
    ["input", 7],
    ["input", null],
    ["input", {}],
    ["messages", []],
    ["messages[1]", ["Hello", { nothing: true }]],
    ["message", { message: 7 }],
    ["historyLength", { message: "x", historyLength: -1 }],
    ["contextLength", { message: "x", contextLength: Number.NaN }],
    ["capabilities", { message: "x", capabilities: "security" }],
    ["capabilities", { message: "x", capabilities: [1] }],
  ])("refuses a wrong %s: %j", async (path, input) => {
    const refused = new ComplexityEstimator().invoke(input as ComplexityEstimatorInput)
    await expect(refused).rejects.toBeInstanceOf(InvalidRequestError)
    await expect(refused).rejects.toMatchObject({ path })
  })

  it.each<[string, ComplexityEstimatorOptions]>([
    ["tiers", { tiers: [] }],
    ["tiers", { tiers: ["a", "a"] }],
    ["thresholds", { thresholds: [0.5] }],
    ["thresholds[1]", { thresholds: [0.7, 0.3] }],
  ])("refuses a wrong option %s", (path, options) => {
    expect(() => new ComplexityEstimator(options)).toThrow(ConfigError)
    expect(() => new ComplexityEstimator(options)).toThrow(expect.objectContaining({ path }))
  })

  it("always answers with a score between 0 and 1 and a tier of its own", async () => {
    const estimator = new ComplexityEstimator()
    const anyString = fc
      .array(fc.integer({ min: 0, max: 0xffff }))
      .map((units) => String.fromCharCode(...units))
    await fc.assert(
      fc.asyncProperty(anyString, async (text) => {
        const { score, confidence, tier } = await estimator.invoke(text)
        expect(Math.min(score, confidence)).toBeGreaterThanOrEqual(0)
        expect(Math.max(score, confidence)).toBeLessThanOrEqual(1)
        expect(["light", "standard", "heavy"]).toContain(tier)
      }),
    )
  })
})

function fixed(score: number): Estimator {
  return { name: "fixed", estimate: () => ({ score, confidence: 1, factors: {} }) }
}
