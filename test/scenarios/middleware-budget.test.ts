import { AIMessage, type AIMessageFields, type BaseMessage } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { Command, MemorySaver } from "@langchain/langgraph"
import {
  type AnyAgentMiddleware,
  createAgent,
  createMiddleware,
  initChatModel,
  modelFallbackMiddleware,
  modelRetryMiddleware,
  providerStrategy,
} from "langchain"
import {
  BudgetExceededError,
  type BudgetStatus,
  ConfigError,
  InvalidRequestError,
  memoryBudget,
  nanoToUsd,
  nanoUsd,
  type Price,
  TierwiseError,
} from "tierwise"
import {
  type BudgetMiddleware,
  type BudgetMiddlewareOptions,
  budgetMiddleware,
  routerMiddleware,
} from "tierwise/middleware"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { chatModel, openWorld, replyMetadata, usageOf, type World } from "./world.ts"

const WEATHER = { messages: [{ role: "user" as const, content: "What is the weather in Rome?" }] }
const HELLO = { messages: [{ role: "user" as const, content: "Hello" }] }
const PRICE: Price = { inputPerMTok: 0.1, outputPerMTok: 0.4, cachedInputPerMTok: 0.05 }

const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
  name: "get_weather",
  description: "Current weather of a city",
  schema: z.object({ city: z.string().describe("Name of the city") }),
})

const billed = ({ simulator }: World) =>
  simulator.invoices().reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)
const lastOf = ({ messages }: { readonly messages: readonly BaseMessage[] }) => messages.at(-1) as BaseMessage
const inThread = (thread_id: string) => ({ configurable: { thread_id } })

/** An agent over the world's router, whose light tier alone may answer. */
function openAgent(world: World, options: BudgetMiddlewareOptions, checkpointer = new MemorySaver()) {
  const limits = budgetMiddleware(options)
  const router = routerMiddleware({ router: world.router, agentSpec: { tier: "light" } })
  const agent = createAgent({
    model: world.router,
    tools: [weather],
    middleware: [router, limits],
    checkpointer,
  })
  return { agent, limits }
}

/** Tokens that the first of WEATHER's two calls may take: with little more than that, the second one is refused. */
async function oneCall({ router }: World): Promise<number> {
  const plan = await router.bindTools([weather]).explain(WEATHER.messages, { tier: "light" })
  return plan.candidates[0]?.quote.tokens ?? Number.NaN
}

async function spentBy({ budget }: BudgetMiddleware, thread: string): Promise<object | undefined> {
  return (await budget.status({ thread }))[0]
}

describe("budgetMiddleware", () => {
  it("books what the provider bills, to the NanoUsd, routed [L4.budgets]", async () => {
    await using world = await openWorld()
    const { agent, limits } = openAgent(world, { perRun: { usd: 1 }, perThread: { usd: 1, tokens: 99_999 } })
    await agent.invoke(WEATHER, inThread("t"))
    await agent.invoke(HELLO, inThread("t"))
    expect(world.bodies()).toHaveLength(3)
    expect(await spentBy(limits, "t")).toMatchObject({ unit: "NanoUsd", spent: billed(world), held: 0 })
    // A run that is over is forgotten: its id begins anew.
    const { run = "" } = world.records[0]?.scopes ?? {}
    expect(await limits.budget.status({ run })).toMatchObject([{ spent: 0 }])
  })

  it("books what the provider bills for a model that is not routed [L4.budgets]", async () => {
    await using world = await openWorld()
    const limits = budgetMiddleware({ perThread: { usd: 1 }, price: PRICE })
    const model = chatModel(world.simulator, "sim-small")
    const agent = createAgent({ model, tools: [weather], middleware: [limits] })
    const result = await agent.invoke(WEATHER, inThread("t"))
    expect(lastOf(result).text).toContain("21")
    expect(world.bodies()).toHaveLength(2)
    expect(await spentBy(limits, "t")).toMatchObject({ spent: billed(world), held: 0 })
  })

  it("refuses the call that does not fit before it is made, as an error that is recognised [L4.budgets]", async () => {
    await using world = await openWorld()
    const { agent } = openAgent(world, { perRun: { tokens: await oneCall(world) } })
    const error = await agent.invoke(WEATHER, inThread("t")).catch((thrown: unknown) => thrown)
    expect(world.bodies()).toHaveLength(1)
    const found = TierwiseError.find(error)
    expect(found).toBeInstanceOf(BudgetExceededError)
    expect(found).toMatchObject({
      refusal: { unit: "tokens", limit: await oneCall(world), resetsAt: undefined },
    })
    expect((found as BudgetExceededError).refusal.scope).toMatch(/^run:/)
  })

  it("leaves nothing of a refused call in the conversation", async () => {
    await using world = await openWorld()
    const checkpointer = new MemorySaver()
    const short = openAgent(world, { perRun: { tokens: 100 } }, checkpointer)
    await expect(short.agent.invoke(HELLO, inThread("t"))).rejects.toThrow(/budget of run:/)
    const enough = openAgent(world, { perRun: { tokens: 9_000 } }, checkpointer)
    const { messages } = await enough.agent.invoke(HELLO, inThread("t"))
    expect(messages.map(({ type }) => type)).toEqual(["human", "human", "ai"])
  })

  it("ends a run with a message, if told to [L4.budgets]", async () => {
    await using world = await openWorld()
    const { agent } = openAgent(world, { perRun: { tokens: await oneCall(world) }, onExhausted: "end" })
    const result = await agent.invoke(WEATHER, inThread("t"))
    expect(world.bodies()).toHaveLength(1)
    expect(lastOf(result).text).toMatch(/^The total budget of run:.* tokens left, and this call may take/)
    expect(lastOf(result).response_metadata).toMatchObject({ finish_reason: "budget-exceeded" })
  })

  it("gives each run its own limit, and all runs of a thread one together [L4.budgets]", async () => {
    await using world = await openWorld({ maxOutputTokens: 300 })
    const limit = await oneCall(world)
    const { agent, limits } = openAgent(world, {
      perRun: { tokens: 2 * limit },
      perThread: { tokens: limit },
    })
    await agent.invoke(HELLO, inThread("a"))
    await agent.invoke(HELLO, inThread("b"))
    const error = await agent.invoke(HELLO, inThread("a")).catch((thrown: unknown) => thrown)
    expect(TierwiseError.find(error)).toMatchObject({ refusal: { scope: "thread:a" } })
    expect(world.bodies()).toHaveLength(2)
    expect(await spentBy(limits, "b")).toMatchObject({ held: 0 })
  })

  it("knows in another process what a thread has spent, by its checkpoints", async () => {
    await using world = await openWorld({ maxOutputTokens: 300 })
    const checkpointer = new MemorySaver()
    const before = openAgent(world, { perThread: { usd: 1 } }, checkpointer)
    await before.agent.invoke(HELLO, inThread("t"))
    const after = openAgent(world, { perThread: { usd: nanoToUsd(nanoUsd(billed(world))) } }, checkpointer)
    await expect(after.agent.invoke(HELLO, inThread("t"))).rejects.toThrow(/has 0 USD of/)
    await expect(after.agent.invoke(HELLO, inThread("new"))).rejects.toThrow(/this call may take up to/)
    expect(world.bodies()).toHaveLength(1)
  })

  it("is not overspent by many runs of a thread at once [L4.budgets]", async () => {
    await using world = await openWorld({ maxOutputTokens: 100 })
    const limits = budgetMiddleware({ perThread: { usd: 0.001 } })
    const agent = createAgent({ model: world.router, tools: [], middleware: [limits] })
    const settled = await Promise.allSettled(
      Array.from({ length: 40 }, (_, i) =>
        agent.invoke({ messages: [{ role: "user", content: `Hello ${i}` }] }, inThread("t")),
      ),
    )
    const answered = settled.filter(({ status }) => status === "fulfilled")
    expect(answered.length).toBeGreaterThan(0)
    expect(answered.length).toBeLessThan(40)
    expect(world.bodies()).toHaveLength(answered.length)
    expect(billed(world)).toBeLessThanOrEqual(1_000_000)
    expect(await spentBy(limits, "t")).toMatchObject({ spent: billed(world), held: 0 })
  })

  it("holds beside the router's own budget, and counts nothing twice [L4.budgets]", async () => {
    const tenants = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    await using world = await openWorld({ budget: tenants })
    const limits = budgetMiddleware({ perThread: { usd: 1 } })
    const agent = createAgent({ model: world.router, tools: [], middleware: [limits] })
    const configurable = { thread_id: "t", tierwise: { scopes: { tenant: "acme" } } }
    await agent.invoke(HELLO, { configurable })
    expect(await spentBy(limits, "t")).toMatchObject({ spent: billed(world), held: 0 })
    expect((await tenants.status({ tenant: "acme" }))[0]).toMatchObject({ spent: billed(world), held: 0 })
    expect(world.records[0]?.scopes).toMatchObject({ tenant: "acme", thread: "t" })
  })

  it("is no answer to a refusal of the router's own budget", async () => {
    const tenants = memoryBudget({ limits: [{ scope: "tenant", window: "day", tokens: 10 }] })
    await using world = await openWorld({ budget: tenants })
    const limits = budgetMiddleware({ perThread: { usd: 1 }, onExhausted: "end" })
    const agent = createAgent({ model: world.router, tools: [], middleware: [limits] })
    await expect(agent.invoke(HELLO, inThread("t"))).rejects.toThrow(/budget of tenant:default/)
    expect(await spentBy(limits, "t")).toMatchObject({ spent: 0, held: 0 })
  })

  it("goes on to a cheaper tier that fits where its router says so", async () => {
    await using world = await openWorld({ underPressure: { whenRefused: "downgrade" } })
    const limits = budgetMiddleware({ perRun: { usd: 0.02 } })
    const router = routerMiddleware({ router: world.router, hintsOf: () => ({ preference: 1 }) })
    await createAgent({ model: world.router, tools: [], middleware: [router, limits] }).invoke(HELLO)
    const [record] = world.records
    expect(record?.attempts.map(({ outcome }) => outcome)).toContain("answered")
    expect(record?.cost).toBe(billed(world))
  })

  it("gives the money back when a provider fails, and when the caller walks away", async () => {
    await using world = await openWorld({ maxRetries: 0, maxFallbackAttempts: 0 })
    const { agent, limits } = openAgent(world, { perThread: { usd: 1 } })
    world.simulator.script([{ status: 500 }])
    await expect(agent.invoke(HELLO, inThread("failed"))).rejects.toThrow(/500/)
    expect(await spentBy(limits, "failed")).toMatchObject({ spent: 0, held: 0 })

    world.simulator.script([{ delayMs: 5_000 }])
    const signal = AbortSignal.timeout(100)
    await expect(agent.invoke(HELLO, { ...inThread("left"), signal })).rejects.toThrow(/abort/i)
    await expect.poll(() => spentBy(limits, "left")).toMatchObject({ held: 0 })
  })

  it("shows the words of a metered model once, as they come", async () => {
    await using world = await openWorld()
    const limits = budgetMiddleware({ perThread: { usd: 1 }, price: PRICE })
    const model = chatModel(world.simulator, "sim-echo")
    const agent = createAgent({ model, tools: [], middleware: [limits] })
    const input = { messages: [{ role: "user" as const, content: "one two three four five six" }] }
    const shown: string[] = []
    for await (const [message] of await agent.stream(input, { streamMode: "messages", ...inThread("t") })) {
      if (message.type === "ai" && message.text !== "") shown.push(message.text)
    }
    expect(shown.join("")).toBe("one two three four five six")
    expect(shown.length).toBeGreaterThan(1)
    expect(await spentBy(limits, "t")).toMatchObject({ spent: billed(world), held: 0 })
  })
})

describe("a model that is not routed", () => {
  it("keeps the agent's response format, by its own profile [L4.with-response-format]", async () => {
    await using world = await openWorld()
    const limits = budgetMiddleware({ perThread: { usd: 1 }, price: PRICE })
    const person = z.object({ name: z.string(), age: z.number().int() })
    const content = "Turn this note into a record.\n\nName: Ada. Put down 36 as the age."
    for (const responseFormat of [person, providerStrategy(person)] as const) {
      const agent = createAgent({
        model: chatModel(world.simulator, "sim-small"),
        tools: [],
        middleware: [limits],
        responseFormat: responseFormat as typeof person,
      })
      const result = await agent.invoke({ messages: [{ role: "user", content }] }, inThread("t"))
      expect(result.structuredResponse).toEqual({ name: "Ada", age: 36 })
    }
    const [byTool, byProvider] = world.bodies()
    expect(byTool).toMatchObject({
      tools: [{ function: { name: expect.stringMatching(/^extract-/) as string } }],
    })
    expect(byProvider).toMatchObject({ response_format: { type: "json_schema" } })
    expect(await spentBy(limits, "t")).toMatchObject({ spent: billed(world), held: 0 })
  })

  it("may be one that is made when it is needed", async () => {
    await using world = await openWorld()
    const limits = budgetMiddleware({ perThread: { usd: 1 }, price: PRICE })
    const model = await initChatModel("sim-small", {
      modelProvider: "openai",
      apiKey: "none",
      configuration: { baseURL: world.simulator.baseUrl },
    })
    const result = await createAgent({ model, tools: [weather], middleware: [limits] }).invoke(
      WEATHER,
      inThread("t"),
    )
    expect(lastOf(result).text).toContain("21")
    expect(await spentBy(limits, "t")).toMatchObject({ spent: billed(world), held: 0 })
  })

  it("is priced by a function where there are several, and capped as told", async () => {
    await using world = await openWorld()
    const asked: string[] = []
    const limits = budgetMiddleware({
      perThread: { usd: 1 },
      maxOutputTokens: 33,
      price: (model) => {
        asked.push((model as { model?: string }).model ?? "")
        return PRICE
      },
    })
    const model = chatModel(world.simulator, "sim-small")
    const agent = createAgent({ model, tools: [], middleware: [limits] })
    await agent.invoke(HELLO, inThread("t"))
    await agent.invoke(HELLO, inThread("t"))
    expect(asked).toEqual(["sim-small"])
    expect(world.bodies()[0]).toMatchObject({ max_tokens: 33 })
  })
})

describe("asking for more", () => {
  it("interrupts with what is needed, and goes on with more money [L4.budgets]", async () => {
    await using world = await openWorld()
    const { agent, limits } = openAgent(world, {
      perRun: { tokens: await oneCall(world) },
      onExhausted: "ask",
    })
    const asked = await agent.invoke(WEATHER, inThread("t"))
    const [interrupt] = (asked as { __interrupt__?: { value: unknown }[] }).__interrupt__ ?? []
    expect(interrupt?.value).toMatchObject({
      type: "budget-exceeded",
      scope: "run",
      unit: "tokens",
      limit: await oneCall(world),
      message: expect.stringMatching(/budget of run:/),
    })
    expect(world.bodies()).toHaveLength(1)
    const result = await agent.invoke(new Command({ resume: { tokens: 5_000 } }), inThread("t"))
    expect(lastOf(result).text).toContain("21")
    expect(result.messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "ai"])
    expect(world.bodies()).toHaveLength(2)
    expect(await spentBy(limits, "t")).toBeUndefined()
  })

  it("asks again while it is not enough, and counts each grant once", async () => {
    await using world = await openWorld()
    const { agent, limits } = openAgent(world, {
      perThread: { tokens: await oneCall(world) },
      onExhausted: "ask",
    })
    await agent.invoke(WEATHER, inThread("t"))
    await agent.invoke(new Command({ resume: { tokens: 10 } }), inThread("t"))
    await agent.invoke(new Command({ resume: { tokens: 20 } }), inThread("t"))
    expect(world.bodies()).toHaveLength(1)
    await agent.invoke(new Command({ resume: { tokens: 5_000 } }), inThread("t"))
    expect(world.bodies()).toHaveLength(2)
    expect(await spentBy(limits, "t")).toMatchObject({ limit: (await oneCall(world)) + 5_030, held: 0 })
  })

  it.each(["perRun", "perThread"] as const)("is answered in another process too: %s", async (whose) => {
    await using world = await openWorld()
    const checkpointer = new MemorySaver()
    const limit = { [whose]: { tokens: await oneCall(world) }, onExhausted: "ask" } as const
    const before = openAgent(world, limit, checkpointer)
    await before.agent.invoke(WEATHER, inThread("t"))
    const { run = "" } = world.records[0]?.scopes ?? {}
    const statusIn = async ({ budget }: BudgetMiddleware) =>
      (await budget.status({ run, thread: "t" }))[0] as BudgetStatus
    const first = await statusIn(before.limits)
    expect(first.spent).toBeGreaterThan(0)
    const after = openAgent(world, limit, checkpointer)
    const asked = await after.agent.invoke(new Command({ resume: { tokens: 1 } }), inThread("t"))
    expect(asked).toHaveProperty("__interrupt__")
    expect(await statusIn(after.limits)).toMatchObject({ limit: first.limit + 1, spent: first.spent })
    const result = await after.agent.invoke(new Command({ resume: { tokens: 5_000 } }), inThread("t"))
    expect(lastOf(result).text).toContain("21")
  })

  it("counts an answer once that is given again from the same checkpoint", async () => {
    await using world = await openWorld()
    const { agent, limits } = openAgent(world, {
      perThread: { tokens: await oneCall(world) },
      onExhausted: "ask",
    })
    await agent.invoke(WEATHER, inThread("t"))
    const { config } = await agent.graph.getState(inThread("t"))
    const answer = new Command({ resume: { tokens: 5_000 } })
    for (const _ of ["once", "again"])
      await agent.invoke(answer, { configurable: { ...config.configurable } })
    expect(world.bodies()).toHaveLength(3)
    expect(await spentBy(limits, "t")).toMatchObject({ limit: (await oneCall(world)) + 5_000, held: 0 })
  })

  it("ends when told to stop, with the message as its reply", async () => {
    await using world = await openWorld()
    const { agent } = openAgent(world, { perRun: { tokens: await oneCall(world) }, onExhausted: "ask" })
    await agent.invoke(WEATHER, inThread("t"))
    const result = await agent.invoke(new Command({ resume: "stop" }), inThread("t"))
    expect(lastOf(result).text).toMatch(/budget of run:/)
    const next = await agent.invoke(HELLO, inThread("t"))
    expect(next.messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "ai", "human", "ai"])
  })

  it("refuses an answer that says nothing, naming the fix", async () => {
    await using world = await openWorld()
    const { agent } = openAgent(world, { perRun: { tokens: await oneCall(world) }, onExhausted: "ask" })
    await agent.invoke(WEATHER, inThread("t"))
    const error = await agent
      .invoke(new Command({ resume: { usd: -1 } }), inThread("t"))
      .catch((thrown: unknown) => thrown)
    expect(TierwiseError.find(error)).toBeInstanceOf(InvalidRequestError)
    expect(TierwiseError.find(error)).toMatchObject({ path: "resume" })
  })

  it("is not swallowed by a retry, on either side of it [L4.with-other-middleware]", async () => {
    // Its own schema does not type-check as one where optional properties are exact.
    const retry = modelRetryMiddleware({ initialDelayMs: 1 }) as unknown as AnyAgentMiddleware
    for (const order of ["outside", "inside"] as const) {
      await using world = await openWorld()
      const limits = budgetMiddleware({ perRun: { tokens: await oneCall(world) }, onExhausted: "ask" })
      const agent = createAgent({
        model: world.router,
        tools: [weather],
        middleware: order === "outside" ? [retry, limits] : [limits, retry],
        checkpointer: new MemorySaver(),
      })
      const asked = await agent.invoke(WEATHER, inThread("t"))
      expect(asked, order).toHaveProperty("__interrupt__")
      const result = await agent.invoke(new Command({ resume: { tokens: 9_000 } }), inThread("t"))
      expect(lastOf(result).text, order).toContain("21")
      expect(world.bodies(), order).toHaveLength(2)
    }
  })
})

describe("a model without a price", () => {
  it("is refused before it is called, naming the fix", async () => {
    await using world = await openWorld()
    const limits = budgetMiddleware({ perThread: { usd: 1 } })
    const model = chatModel(world.simulator, "sim-small")
    const error = await createAgent({ model, tools: [], middleware: [limits] })
      .invoke(HELLO)
      .catch((thrown: unknown) => thrown)
    expect(TierwiseError.find(error)).toBeInstanceOf(ConfigError)
    expect(TierwiseError.find(error)).toMatchObject({ path: "price" })
    expect(world.bodies()).toEqual([])
  })

  it("is no obstacle where a router is put in its place, on either side", async () => {
    for (const order of ["outside", "inside"] as const) {
      await using world = await openWorld()
      const limits = budgetMiddleware({ perThread: { usd: 1 } })
      const router = routerMiddleware({ router: world.router })
      const model = chatModel(world.simulator, "sim-echo")
      const middleware = order === "outside" ? [limits, router] : [router, limits]
      const result = await createAgent({ model, tools: [], middleware }).invoke(HELLO, inThread("t"))
      expect(replyMetadata(lastOf(result)).deployment, order).toBe("sim-small")
      expect(await spentBy(limits, "t"), order).toMatchObject({ spent: billed(world), held: 0 })
    }
  })
})

describe("a retry around budget and router", () => {
  it("asks the router again, not the model it stands for [L4.with-other-middleware]", async () => {
    await using world = await openWorld({ maxFallbackAttempts: 0 })
    world.simulator.script([{ status: 500 }])
    const retry = modelRetryMiddleware({ initialDelayMs: 1 }) as unknown as AnyAgentMiddleware
    const limits = budgetMiddleware({ perThread: { usd: 1 } })
    const agent = createAgent({
      model: chatModel(world.simulator, "sim-echo"),
      tools: [],
      middleware: [retry, limits, routerMiddleware({ router: world.router })],
    })
    expect(replyMetadata(lastOf(await agent.invoke(HELLO))).deployment).toBe("sim-small")
    expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small", "sim-small"])
  })
})

describe("a model that gets past the budget", () => {
  const failing = async (price: Price | undefined) => {
    const world = await openWorld()
    const limits = budgetMiddleware({ perThread: { usd: 1 }, price })
    const fallback = modelFallbackMiddleware(chatModel(world.simulator, "sim-small"))
    const router = routerMiddleware({ router: world.router, hintsOf: () => ({ labels: { region: "mars" } }) })
    const agent = createAgent({ model: world.router, tools: [], middleware: [limits, router, fallback] })
    return { world, limits, agent }
  }

  it("is booked when it has answered", async () => {
    const { world, limits, agent } = await failing(PRICE)
    await using _ = world
    await agent.invoke(HELLO, inThread("t"))
    expect(await spentBy(limits, "t")).toMatchObject({ spent: billed(world), held: 0 })
  })

  it("is booked also where it is a router, and the held one has failed after its money was held", async () => {
    await using broken = await openWorld({ maxRetries: 0, maxFallbackAttempts: 0 })
    await using world = await openWorld()
    broken.simulator.script([{ status: 500, times: 9 }])
    const limits = budgetMiddleware({ perThread: { usd: 1 } })
    const middleware = [limits, modelFallbackMiddleware(world.router)]
    const agent = createAgent({ model: broken.router, tools: [], middleware })
    await agent.invoke(HELLO, inThread("t"))
    expect(billed(world)).toBeGreaterThan(0)
    expect(await spentBy(limits, "t")).toMatchObject({ spent: billed(world), held: 0 })
  })

  it("is not booked twice where its answer is rewritten on the way", async () => {
    await using world = await openWorld()
    const limits = budgetMiddleware({ perThread: { usd: 1 }, price: PRICE })
    const redact = createMiddleware({
      name: "Redact",
      wrapModelCall: async (request, handler) => {
        const usage_metadata = usageOf(await handler(request))
        return new AIMessage({ content: "***", ...(usage_metadata && { usage_metadata }) } as AIMessageFields)
      },
    })
    const agent = createAgent({ model: world.router, tools: [], middleware: [limits, redact] })
    await agent.invoke(HELLO, inThread("t"))
    expect(await spentBy(limits, "t")).toMatchObject({ spent: billed(world), held: 0 })
  })

  it("is an error where its price is unknown, naming the order that helps", async () => {
    const { world, agent } = await failing(undefined)
    await using _ = world
    await expect(agent.invoke(HELLO, inThread("t"))).rejects.toThrow(/Fix: list budgetMiddleware after/)
  })
})
