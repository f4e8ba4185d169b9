import { AIMessage, HumanMessage } from "@langchain/core/messages"
import type { RunnableConfig } from "@langchain/core/runnables"
import { fakeModel } from "@langchain/core/testing"
import { describe, expect, it } from "vitest"
import { memoryBudget } from "./budget/memory-budget.ts"
import { resolveOptions } from "./route/resolve-options.ts"
import type { DeploymentOptions, RouterOptions } from "./route/router-options.ts"
import { createHall } from "./route.ts"
import type { RouteRequest } from "./spec/request.ts"
import type { RouteEvent } from "./spec/telemetry.ts"
import { lowConfidence } from "./validation/low-confidence.ts"

const UNSURE = "I'm not sure."
const failing = (status: number) => Object.assign(new Error(`status ${status}`), { status })

/** A chat model that says these things in turn, or throws them. */
function model(...replies: readonly (string | Error)[]) {
  const fake = Object.assign(fakeModel(), { maxTokens: 100 })
  for (const reply of replies) fake.respond(reply instanceof Error ? reply : new AIMessage(reply))
  return fake
}

/** Three deployments named after their tiers, each dearer than the one below. */
function world(
  models: Readonly<Record<string, ReturnType<typeof model>>>,
  options: Partial<RouterOptions> = {},
  fields: Readonly<Record<string, Partial<DeploymentOptions>>> = {},
) {
  const events: RouteEvent[] = []
  const deployments = Object.entries(models).map(([tier, of], index) => ({
    id: tier,
    tier,
    model: of,
    price: { inputPerMTok: 10 ** index, outputPerMTok: 10 ** index },
    profile: { maxInputTokens: 100_000, structuredOutput: true },
    ...fields[tier],
  }))
  const tiers = Object.keys(models)
  const hall = createHall(
    resolveOptions({
      tiers,
      deployments,
      maxRetries: 0,
      observers: [{ on: (event) => void events.push(event) }],
      ...options,
    }),
  )
  const ask = async (hints: Partial<RouteRequest> = {}, config: RunnableConfig = {}) => {
    const request = { messages: [new HumanMessage("Hello")], ...hints }
    const { answer } = await hall.generate(request, { callOptions: {}, config, signal: config.signal })
    const ended = events.findLast((event) => event.type === "request-ended")
    return { answer, record: (ended as RouteEvent & { type: "request-ended" }).record }
  }
  return { hall, ask, events }
}

describe("the hall", () => {
  it("tells everybody what happens, in order, under one id", async () => {
    const models = { light: model(failing(401)), standard: model(UNSURE), heavy: model("Yes.") }
    const { ask, events } = world(models, { validator: lowConfidence(), newId: () => "r" })
    await ask()
    expect(events.map(({ type }) => type)).toEqual([
      "plan-made",
      "attempt-started",
      "attempt-ended",
      "attempt-started",
      "attempt-ended",
      "answer-judged",
      "tier-escalated",
      "attempt-started",
      "attempt-ended",
      "answer-judged",
      "request-ended",
    ])
    expect(events[3]).toEqual({
      type: "attempt-started",
      id: "r",
      deploymentId: "standard",
      tier: "standard",
    })
    expect(new Set(events.map((event) => "id" in event && event.id))).toEqual(new Set(["r"]))
  })

  it("keeps the answer in hand, without a word, when nobody above can take the request", async () => {
    const models = { light: model(UNSURE), heavy: model() }
    const eu = { light: { labels: { region: "eu" } } }
    const { ask } = world(models, { validator: lowConfidence() }, eu)
    const { answer, record } = await ask({ labels: { region: "eu" } })
    expect(answer.message.text).toBe(UNSURE)
    expect(record).toMatchObject({ problems: [], decisions: [{ tier: "light" }] })
    expect(record.decisions).toHaveLength(1)
  })

  it("never asks the tier again whose answer was rejected", async () => {
    const models = { light: model(UNSURE, "Asked twice."), standard: model(failing(401)), heavy: model() }
    models.heavy.alwaysThrow(failing(401))
    const { ask } = world(models, { validator: lowConfidence() })
    const { answer, record } = await ask()
    expect(answer.message.text).toBe(UNSURE)
    expect(models.light.callCount).toBe(1)
    expect(record.decisions[1]).toMatchObject({ tier: "standard", floor: "standard", ceiling: "heavy" })
  })

  it("lets an interrupt through, also with an answer in hand", async () => {
    const interrupt = Object.assign(new Error("stop"), { name: "GraphInterrupt" })
    const { ask } = world({ light: model(UNSURE), heavy: model(interrupt) }, { validator: lowConfidence() })
    await expect(ask()).rejects.toBe(interrupt)
  })

  it("takes what looks like a defect inside a provider's package for that provider's failure", async () => {
    const odd = new TypeError("Cannot read properties of undefined (reading 'choices')")
    const { record } = await world({ light: model(odd), heavy: model("Yes.") }).ask()
    expect(record.attempts).toMatchObject([{ failure: "truncated" }, { outcome: "answered" }])
  })

  it("throws a defect of a deployment's own making, before anything is sent, as it is", async () => {
    const defect = new TypeError("x is not a function")
    const heavy = Object.assign(model(), {
      bindTools: () => {
        throw defect
      },
    })
    const tools = [{ type: "function", function: { name: "f", parameters: { type: "object" } } }]
    const profile = { maxInputTokens: 100_000, toolCalling: true }
    const light = model(UNSURE)
    const bound = Object.assign(light, { bindTools: () => light })
    const fields = { light: { profile }, heavy: { profile } }
    const { ask } = world({ light: bound, heavy }, { validator: lowConfidence() }, fields)
    await expect(ask({ tools })).rejects.toBe(defect)
  })

  it("escalates an empty answer, and one that breaks the schema that was asked for, unless told otherwise", async () => {
    const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }
    const empty = world({ light: model(""), heavy: model("Hello!") })
    expect((await empty.ask()).record.answeredBy?.tier).toBe("heavy")
    const broken = world({ light: model('{"n":"one"}'), heavy: model('{"n":1}') })
    const { record } = await broken.ask({ responseFormat: { name: "x", schema } })
    expect(record.answeredBy?.tier).toBe("heavy")
    expect(record.verdicts[0]?.verdict).toMatchObject({ accepted: false })
  })

  it("holds under an id of its own for every call of every request", async () => {
    const store = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    const ids: string[] = []
    const reserve: typeof store.reserve = (request) => {
      ids.push(request.id)
      return store.reserve(request)
    }
    const models = { light: model(UNSURE, UNSURE), heavy: model("Yes.", "Yes.") }
    const { ask } = world(models, { validator: lowConfidence(), budget: { ...store, reserve } })
    await ask()
    await ask()
    expect(ids).toHaveLength(4)
    expect(new Set(ids).size).toBe(4)
  })

  it("charges the tenant who asked", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    const { record } = await world({ light: model("Yes.") }, { budget }).ask({ scopes: { tenant: "acme" } })
    expect(record.cost).toBeGreaterThan(0)
    expect(await budget.status({ tenant: "acme" })).toMatchObject([{ spent: record.cost }])
    expect(await budget.status({ tenant: "other" })).toMatchObject([{ spent: 0 }])
  })

  it("tells a deployment's own callbacks the caller's tags and metadata, and which deployment it is", async () => {
    const told: unknown[] = []
    const light = model("Yes.")
    light.callbacks = [
      { handleChatModelStart: (...args: readonly unknown[]) => void told.push(args[5], args[6]) },
    ]
    const { ask } = world({ light })
    await ask({}, { tags: ["mine"], metadata: { trace: "t-1" } })
    expect(told[0]).toEqual(expect.arrayContaining(["mine", "tierwise:tier:light"]))
    expect(told[1]).toMatchObject({ trace: "t-1", tierwise_deployment: "light" })
  })

  it("hands a deployment the replies that it gave before as they are, whatever name its model went by", async () => {
    const models = { light: model("Fine.") }
    const { ask } = world(models)
    const content = [
      { type: "thinking", thinking: "hm", signature: "s" },
      { type: "text", text: "Hi" },
    ]
    const reply = (deployment: string) =>
      new AIMessage({ content, response_metadata: { model_name: "m-2", tierwise: { deployment } } })
    const messages = [new HumanMessage("Hello"), reply("light"), new HumanMessage("And?"), reply("heavy")]
    await ask({ messages })
    const sent = models.light.calls[0]?.messages
    expect(sent?.[1]?.content).toEqual(content)
    expect(sent?.[3]).toMatchObject({ text: "Hi" })
    expect(JSON.stringify(sent?.[3]?.content)).not.toContain("thinking")
  })

  it("draws among equals by the snapshot, so that a plan can be repeated from it", async () => {
    const price = { inputPerMTok: 1, outputPerMTok: 1 }
    const equal = (id: string) => ({ id, tier: "light", model: model(), price })
    const { hall } = world({ light: model() }, { deployments: [equal("a"), equal("b")] })
    const firstAt = async (draw: number) =>
      (await hall.plan({ messages: [new HumanMessage("Hello")] }, { at: 0, draw })).candidates[0]
        ?.deploymentId
    expect(await Promise.all([0.1, 0.9, 0.1, 0.9].map(firstAt))).toEqual(["a", "b", "a", "b"])
  })

  it("quotes all the answers of a model that gives several per call", async () => {
    const request = { messages: [new HumanMessage("Hello")] }
    const quoted = async (of: ReturnType<typeof model>) =>
      (await world({ light: of }).hall.plan(request)).candidates[0]?.quote.tokens ?? Number.NaN
    const several = Object.assign(model(), { n: 3 })
    expect((await quoted(several)) - (await quoted(model()))).toBe(200)
  })

  it("books the whole quote, several answers included, for an answer that a package threw away", async () => {
    const garbled = Object.assign(model(new SyntaxError("Unexpected end of JSON input")), { n: 2 })
    const responseFormat = { name: "x", schema: { type: "object" } }
    const { record } = await world({ light: garbled }).ask({ responseFormat })
    const quote = record.plan.candidates[0]?.quote
    expect(record.cost).toBe(quote?.money)
    const [attempt] = record.attempts
    expect(attempt).toMatchObject({ outcome: "answered", usage: { outputTokens: 200, estimated: true } })
  })

  it.each(["estimator", "validator"] as const)(
    "waits for no %s that hangs once the caller has gone",
    async (part) => {
      const never = () => new Promise<never>(() => {})
      const hanging = {
        estimator: { name: "slow", estimate: never },
        validator: { name: "slow", validate: never },
      }
      const { ask } = world({ light: model("Yes.") }, { [part]: hanging[part] })
      const abort = new AbortController()
      const asked = ask({}, { signal: abort.signal })
      setTimeout(() => abort.abort(new Error("enough")), 5)
      await expect(asked).rejects.toThrow("enough")
    },
  )

  it("takes a validator that gives no verdict for one that accepts, and writes it down", async () => {
    const silent = { name: "silent", validate: () => undefined as never }
    const { record } = await world({ light: model("Yes."), heavy: model() }, { validator: silent }).ask()
    expect(record.answeredBy?.tier).toBe("light")
    expect(record.problems).toEqual([{ room: "validation", error: "silent: it gave no verdict" }])
  })

  it("keeps room in the context window for a picture", async () => {
    const picture = { type: "image_url", image_url: { url: "https://x.test/a.png" } }
    const request = { messages: [new HumanMessage({ content: [picture] })] }
    const profile = { imageInputs: true, maxInputTokens: 4_000 }
    const { hall } = world({ light: model() }, {}, { light: { profile } })
    const { excluded } = await hall.plan(request)
    expect(excluded).toMatchObject([{ because: expect.stringContaining("too small") }])
  })

  it("stays in the default tier when routing is off, and estimates nothing, but obeys a pin", async () => {
    const models = { light: model(), standard: model(), heavy: model() }
    const { hall } = world(models, { routing: false }, { heavy: { labels: { region: "eu" } } })
    const plan = (hints: Partial<RouteRequest>) =>
      hall.plan({ messages: [new HumanMessage("Hello")], ...hints })
    const off = await plan({ labels: { region: "eu" } })
    expect(off).toMatchObject({ decision: { tier: "standard", reason: "off" }, candidates: [] })
    expect(off.estimate).toBeUndefined()
    expect((await plan({ tier: "heavy" })).decision).toMatchObject({ tier: "heavy", reason: "pinned" })
    expect((await plan({ agentSpec: { minTier: "heavy" } })).decision).toMatchObject({
      tier: "heavy",
      reason: "off",
    })
  })
})

describe("the hall, when the estimate or the policy fails", () => {
  const models = () => ({ light: model(), standard: model(), heavy: model() })
  const planned = async (options: Partial<RouterOptions>, hints: Partial<RouteRequest> = {}) =>
    world(models(), options).hall.plan({ messages: [new HumanMessage("Hello")], ...hints })
  const giving = (score: number) => ({
    name: "mine",
    estimate: () => ({ score, confidence: 1, factors: {} }),
  })

  it.each([-0.1, 1.1, Number.NaN])("takes a score of %d for none", async (score) => {
    const plan = await planned({ estimator: giving(score) })
    expect(plan.estimate).toBeUndefined()
    expect(plan.decision).toMatchObject({ tier: "standard", reason: "default" })
    expect(plan.problems).toEqual([{ room: "complexity", error: expect.stringContaining(`${score}`) }])
  })

  it.each(["tier", "floor", "ceiling"])("takes a decision whose %s is unknown for none", async (field) => {
    const decision = {
      tier: "light",
      floor: "light",
      ceiling: "heavy",
      reason: "estimated",
      because: "…",
    } as const
    const plan = await planned({ policy: { decide: () => ({ ...decision, [field]: "huge" }) } })
    expect(plan.decision).toMatchObject({ tier: "standard", reason: "default" })
    expect(plan.problems).toMatchObject([{ room: "policy", error: expect.stringContaining("huge") }])
  })

  it("keeps the call's own pin and bounds for the default tier", async () => {
    const policy = {
      decide: () => {
        throw new Error("oops")
      },
    }
    const decided = async (hints: Partial<RouteRequest>) => (await planned({ policy }, hints)).decision
    expect(await decided({})).toMatchObject({ tier: "standard", floor: "light", ceiling: "heavy" })
    expect(await decided({ tier: "heavy" })).toMatchObject({ tier: "heavy", floor: "heavy" })
    expect(await decided({ agentSpec: { maxTier: "light" } })).toMatchObject({
      tier: "light",
      ceiling: "light",
    })
    expect(await decided({ agentSpec: { minTier: "heavy" } })).toMatchObject({
      tier: "heavy",
      floor: "heavy",
    })
    expect((await planned({ policy })).problems).toEqual([{ room: "policy", error: "oops" }])
  })
})
