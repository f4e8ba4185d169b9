import { StringOutputParser } from "@langchain/core/output_parsers"
import { ChatPromptTemplate } from "@langchain/core/prompts"
import { NoEligibleDeploymentError, RouterChatModel } from "tierwise"
import { describe, expect, it } from "vitest"
import { deploymentOf, openWorld, RunCounter, replyMetadata, usageOf } from "./world.ts"

const HARD =
  "Perform a security analysis of our zero-trust architecture: analyze the mTLS handshake between services, assess " +
  "the threat model, and propose a compliance strategy for the audit."
const hints = { contextLength: 2_048, capabilities: ["security_analysis"] }

describe("one request, from a message to an answer", () => {
  it("answers an easy one with the cheapest model and says so on the reply [L1.invoke] [N6.on-every-reply] [C8.langchain-integration]", async () => {
    await using world = await openWorld()
    const reply = await world.router.invoke("Hello")
    expect(reply.text).not.toBe("")
    const { tier, deployment, reason, score, attempts } = replyMetadata(reply)
    expect({ tier, deployment, reason }).toEqual({
      tier: "light",
      deployment: "sim-small",
      reason: "estimated",
    })
    expect(score).toBeLessThan(0.3)
    expect(attempts).toMatchObject([{ deployment: "sim-small", outcome: "answered" }])
    expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small"])
  })

  it("answers a hard one with the strongest", async () => {
    await using world = await openWorld()
    const reply = await world.router.invoke(HARD, hints)
    expect(replyMetadata(reply)).toMatchObject({ tier: "heavy", deployment: "sim-large" })
  })

  it("sends the output cap of the quote to the provider", async () => {
    await using world = await openWorld({ maxOutputTokens: 321 })
    await world.router.invoke("Hello")
    await world.router.invoke("Hello", { maxOutputTokens: 77 })
    for await (const _ of await world.router.stream("Hello"));
    expect(world.bodies().map((body) => body["max_tokens"])).toEqual([321, 77, 321])
    expect(world.records.map(({ plan }) => plan.candidates[0]?.maxOutputTokens)).toEqual([321, 77, 321])
  })

  it("costs what the provider bills, to the NanoUsd, plain and streamed", async () => {
    await using world = await openWorld()
    await world.router.invoke("Hello")
    await world.router.invoke(HARD, hints)
    for await (const _ of await world.router.stream("What is a lighthouse for?"));
    const billed = world.simulator.invoices().map(({ costNanoUsd }) => costNanoUsd)
    expect(world.records.map(({ cost }) => cost)).toEqual(billed)
    expect(world.records.every(({ attempts }) => attempts[0]?.outcome === "answered")).toBe(true)
  })

  it("never costs more than its quote [A1.estimate-before]", async () => {
    await using world = await openWorld()
    const texts = [
      "Hello",
      "你好，请介绍一下长城。",
      "const x = [1,2,3].map((n) => n * 2)",
      "🌍".repeat(50),
      HARD,
    ]
    for (const text of texts) await world.router.invoke(text)
    for (const { cost, plan, attempts } of world.records) {
      expect(plan.candidates[0]?.quote.money).toBeGreaterThanOrEqual(cost)
      const usage = attempts[0]?.outcome === "answered" ? attempts[0].usage : undefined
      expect(plan.features.inputBytes).toBeGreaterThanOrEqual(usage?.inputTokens ?? Number.NaN)
    }
  })

  it("opens one chain run with one LLM run per provider call, so tokens are counted once", async () => {
    await using world = await openWorld()
    const counter = new RunCounter()
    const reply = await world.router.invoke("Hello", { callbacks: [counter], tags: ["mine"] })
    expect(counter.events).toEqual([
      "chain RouterChatModel",
      "llm mine,tierwise:tier:light",
      "llm end",
      "chain end",
    ])
    expect(counter.tokens).toBe(usageOf(reply)?.total_tokens)
  })

  it("inherits the callbacks given to its constructor", async () => {
    const counter = new RunCounter()
    await using world = await openWorld({ callbacks: [counter] })
    await world.router.invoke("Hello")
    expect(counter.events.filter((event) => event.startsWith("llm"))).toHaveLength(2)
  })

  it("works in a pipe with a prompt template, and in a batch [C8.prompt-templates] [L1.lcel-pipes] [L1.batch]", async () => {
    await using world = await openWorld()
    const chain = ChatPromptTemplate.fromTemplate("Say hello to {name}.")
      .pipe(world.router)
      .pipe(new StringOutputParser())
    const answers = await chain.batch([{ name: "Ada" }, { name: "Linus" }])
    expect(answers.every((answer) => answer.length > 0)).toBe(true)
    expect(world.records).toHaveLength(2)
  })

  it("keeps a conversation together [C8.multi-turn]", async () => {
    await using world = await openWorld()
    await world.router.invoke([
      ["human", "My name is Ada."],
      ["ai", "Nice to meet you, Ada."],
      ["human", "What is my name?"],
    ])
    expect(world.bodies()[0]).toMatchObject({
      messages: [{ role: "user" }, { role: "assistant" }, { role: "user" }],
    })
    expect(world.records[0]?.plan.features.turns).toBe(2)
  })

  it("sends everything to the default tier when routing is off [D5.routing-off]", async () => {
    await using world = await openWorld({ routing: false })
    expect(replyMetadata(await world.router.invoke("Hello"))).toMatchObject({
      tier: "standard",
      reason: "off",
    })
    expect(replyMetadata(await world.router.invoke(HARD, hints))).toMatchObject({
      tier: "standard",
      reason: "off",
    })
  })

  it("lets one call name its tier [C8.model-override]", async () => {
    await using world = await openWorld()
    const reply = await world.router.invoke("Hello", { tier: "heavy" })
    expect(replyMetadata(reply)).toMatchObject({ tier: "heavy", reason: "pinned" })
  })

  it("takes hints from the configuration too, where call options do not reach", async () => {
    await using world = await openWorld()
    const reply = await world.router.invoke("Hello", { configurable: { tierwise: { tier: "heavy" } } })
    expect(replyMetadata(reply).tier).toBe("heavy")
  })

  it("passes on what only the provider's package knows", async () => {
    await using world = await openWorld()
    await world.router.invoke("Hello", { providerOptions: { seed: 7 }, stop: ["!"] })
    expect(world.bodies()[0]).toMatchObject({ seed: 7, stop: ["!"] })
  })

  it("survives an estimator that throws and a policy that talks nonsense [D5.failure-harmless]", async () => {
    const estimator = {
      name: "broken",
      estimate: () => {
        throw new Error("no idea")
      },
    }
    await using world = await openWorld({ estimator })
    expect(replyMetadata(await world.router.invoke("Hello"))).toMatchObject({
      tier: "standard",
      reason: "default",
    })
    expect(world.records[0]?.problems).toEqual([{ room: "complexity", error: "broken: no idea" }])

    const nonsense = {
      tier: "huge",
      floor: "light",
      ceiling: "heavy",
      because: "?",
      reason: "estimated",
    } as const
    await using other = await openWorld({ policy: { decide: () => nonsense } })
    expect(replyMetadata(await other.router.invoke("Hello"))).toMatchObject({
      tier: "standard",
      reason: "default",
    })
    expect(other.records[0]?.problems).toMatchObject([{ room: "policy" }])
  })

  it("refuses, with every reason, a request nobody can take [N4.fail-closed] [N4.say-why]", async () => {
    await using world = await openWorld()
    const asked = world.router.invoke("Hello", { labels: { region: "eu" } })
    const error = await asked.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(NoEligibleDeploymentError)
    expect((error as NoEligibleDeploymentError).excluded).toHaveLength(3)
    expect((error as Error).message).toContain("sim-large (needs label region=eu, has none)")
    expect(world.bodies()).toEqual([])
  })

  it("does not take a short output cap for a low price", async () => {
    await using world = await openWorld()
    const { simulator } = world
    const dear = { ...deploymentOf(simulator, "heavy", "sim-large"), maxOutputTokens: 10 }
    const router = new RouterChatModel({
      tiers: ["light", "heavy"],
      deployments: [deploymentOf(simulator, "light", "sim-small"), dear],
    })
    const { candidates } = await router.explain("Hello")
    expect(candidates.map(({ deploymentId }) => deploymentId)).toEqual(["sim-small", "sim-large"])
    expect(candidates[1]?.quote.money).toBeLessThan(candidates[0]?.quote.money ?? 0)
  })

  it("asks a stronger model first where it undercuts a weaker one [C2.cheapest-capable]", async () => {
    await using world = await openWorld()
    const { simulator } = world
    const gpt4 = {
      ...deploymentOf(simulator, "standard", "sim-medium"),
      price: { inputPerMTok: 30, outputPerMTok: 60 },
    }
    const gpt4Turbo = {
      ...deploymentOf(simulator, "heavy", "sim-large"),
      price: { inputPerMTok: 10, outputPerMTok: 30 },
    }
    const router = new RouterChatModel({ tiers: ["standard", "heavy"], deployments: [gpt4, gpt4Turbo] })
    const reply = await router.invoke("Hello")
    expect(replyMetadata(reply)).toMatchObject({ tier: "heavy", deployment: "sim-large" })
  })

  it("looks above when nobody in the tier can", async () => {
    await using world = await openWorld()
    const long = "The tide came in and the tide went out. ".repeat(1_200)
    const reply = await world.router.invoke(long, { taskType: "simple_qa" })
    expect(world.records[0]?.plan.decision.tier).toBe("light")
    expect(world.records[0]?.plan.excluded).toMatchObject([
      { id: "sim-small", because: expect.stringContaining("window") },
    ])
    expect(replyMetadata(reply).tier).toBe("standard")
  })
})
