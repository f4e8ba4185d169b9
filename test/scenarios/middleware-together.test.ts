import type { BaseMessage } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { Command, MemorySaver } from "@langchain/langgraph"
import {
  type AnyAgentMiddleware,
  ClearToolUsesEdit,
  contextEditingMiddleware,
  createAgent,
  humanInTheLoopMiddleware,
  modelCallLimitMiddleware,
  modelFallbackMiddleware,
  modelRetryMiddleware,
  providerStrategy,
  summarizationMiddleware,
  toolStrategy,
} from "langchain"
import { budgetMiddleware, routerMiddleware } from "tierwise/middleware"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { chatModel, openWorld, type World } from "./world.ts"

/** Where optional properties are exact, LangChain's own options do not type-check as what their schemas say. */
type Loose = (options: object) => AnyAgentMiddleware
const modelRetry = modelRetryMiddleware as unknown as Loose
const modelCallLimit = modelCallLimitMiddleware as unknown as Loose
const humanInTheLoop = humanInTheLoopMiddleware as unknown as Loose
const summarization = summarizationMiddleware as unknown as Loose

/** The price of `sim-echo`, which the fallback brings in. */
const PRICE = { inputPerMTok: 0.1, outputPerMTok: 0.4, cachedInputPerMTok: 0.05 }

/** One of each, as an agent in production would have them. */
function everyMiddleware(world: World, tokenCountMethod: "model" | "approx" = "model") {
  const limits = budgetMiddleware({ perRun: { usd: 1 }, perThread: { usd: 1 }, price: PRICE })
  const middleware: Readonly<Record<Name, AnyAgentMiddleware>> = {
    router: routerMiddleware({ router: world.router, steps: { "tool-results": { tier: "standard" } } }),
    budget: limits,
    retry: modelRetry({ initialDelayMs: 1 }),
    fallback: modelFallbackMiddleware(chatModel(world.simulator, "sim-echo")),
    callLimit: modelCallLimit({ runLimit: 5 }),
    approval: humanInTheLoop({ interruptOn: { get_weather: { allowedDecisions: ["approve"] } } }),
    summary: summarization({ model: world.router, trigger: { tokens: 100_000 }, keep: { messages: 9 } }),
    editing: contextEditingMiddleware({
      edits: [new ClearToolUsesEdit({ trigger: { tokens: 100_000 } })],
      tokenCountMethod,
    }),
  }
  return { middleware, limits }
}

const NAMES = [
  "router",
  "budget",
  "retry",
  "fallback",
  "callLimit",
  "approval",
  "summary",
  "editing",
] as const
type Name = (typeof NAMES)[number]

/** Every one of the eight in every place, both neighbours of every pair in both orders. */
const ORDERS: readonly (readonly Name[])[] = [NAMES, [...NAMES].reverse()].flatMap((names) =>
  names.map((_, by) => [...names.slice(by), ...names.slice(0, by)]),
)

const WEATHER = { messages: [{ role: "user" as const, content: "What is the weather in Rome?" }] }
const EXTRACT = {
  messages: [
    { role: "user" as const, content: "Turn this note into a record.\n\nName: Ada. Put down 36 as the age." },
  ],
}
const person = z.object({ name: z.string(), age: z.number().int() })
const thread = { configurable: { thread_id: "t" } }

const billed = ({ simulator }: World) =>
  simulator.invoices().reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)

function openAgent(world: World, order: readonly Name[], count?: "approx") {
  const cities: string[] = []
  const weather = tool(
    async ({ city }) => {
      cities.push(city)
      return `It is 21 °C in ${city}.`
    },
    {
      name: "get_weather",
      description: "Current weather of a city",
      schema: z.object({ city: z.string().describe("Name of the city") }),
    },
  )
  const { middleware, limits } = everyMiddleware(world, count)
  const agent = createAgent({
    model: world.router,
    tools: [weather],
    middleware: order.map((name) => middleware[name]),
    checkpointer: new MemorySaver(),
  })
  return { agent, limits, cities }
}

const approve = new Command({ resume: { decisions: [{ type: "approve" }] } })
const typesOf = ({ messages }: { readonly messages: readonly BaseMessage[] }) =>
  messages.map(({ type }) => type)

describe("with other middleware, in any order", () => {
  it.each(ORDERS)(
    "an approved tool loop goes its way, routed, paid and told once: %s, %s, %s, %s, %s, %s, %s, %s [L4.with-other-middleware]",
    async (...order) => {
      await using world = await openWorld()
      const { agent, limits, cities } = openAgent(world, order)
      const asked = await agent.invoke(WEATHER, thread)
      expect(asked).toHaveProperty("__interrupt__")
      expect(cities).toEqual([])
      let shown = ""
      for await (const [message] of await agent.stream(approve, { ...thread, streamMode: "messages" })) {
        if (message.type === "ai") shown += message.text
      }
      expect(cities).toEqual(["Rome"])
      expect(shown.match(/21 °C/g)).toHaveLength(1)
      const { values } = await agent.graph.getState(thread)
      expect(typesOf(values as { messages: BaseMessage[] })).toEqual(["human", "ai", "tool", "ai"])
      expect(world.records.map(({ answeredBy }) => answeredBy?.tier)).toEqual(["light", "standard"])
      expect(world.bodies()).toHaveLength(2)
      const [spent] = await limits.budget.status({ thread: "t" })
      expect(spent).toMatchObject({ spent: billed(world), held: 0 })
    },
  )

  it.each(ORDERS)(
    "a router that fails is asked again, or replaced, by whichever is closer to it: %s, %s, %s, %s, %s, %s, %s, %s [L4.with-other-middleware]",
    async (...order) => {
      await using world = await openWorld({ maxFallbackAttempts: 0, maxRetries: 0 })
      world.simulator.script([{ status: 500 }])
      // Asked for a number of tokens, ChatOpenAI downloads a tokenizer first.
      const { agent, limits } = openAgent(world, order, "approx")
      const result = await agent.invoke({ messages: [{ role: "user", content: "Hello" }] }, thread)
      expect(typesOf(result)).toEqual(["human", "ai"])
      const isRetried = order.indexOf("retry") > order.indexOf("fallback")
      const second = isRetried ? "sim-small" : "sim-echo"
      expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small", second])
      const [spent] = await limits.budget.status({ thread: "t" })
      expect(spent).toMatchObject({ spent: billed(world), held: 0 })
    },
  )

  it.each(ORDERS.map((order) => order.filter((name) => name !== "approval")))(
    "a response format is kept: %s, %s, %s, %s, %s, %s, %s [L4.with-response-format]",
    async (...order) => {
      for (const responseFormat of [toolStrategy(person), providerStrategy(person)] as const) {
        await using world = await openWorld()
        const { middleware, limits } = everyMiddleware(world)
        const agent = createAgent({
          model: world.router,
          tools: [],
          middleware: order.map((name) => middleware[name]),
          responseFormat: responseFormat as ReturnType<typeof providerStrategy<typeof person>>,
        })
        const { structuredResponse } = await agent.invoke(EXTRACT, thread)
        expect(structuredResponse).toEqual({ name: "Ada", age: 36 })
        const [spent] = await limits.budget.status({ thread: "t" })
        expect(spent).toMatchObject({ spent: billed(world), held: 0 })
      }
    },
  )

  it("a summary is made by the model it was given, and the agent goes on [L4.with-other-middleware]", async () => {
    await using world = await openWorld()
    const limits = budgetMiddleware({ perThread: { usd: 1 } })
    const summary = summarization({
      model: world.router,
      trigger: { messages: 4 },
      keep: { messages: 2 },
    })
    const agent = createAgent({
      model: world.router,
      tools: [],
      middleware: [limits, summary, routerMiddleware({ router: world.router })],
      checkpointer: new MemorySaver(),
    })
    for (const content of ["Hello", "How are you?", "And now?"]) {
      await agent.invoke({ messages: [{ role: "user", content }] }, thread)
    }
    const scoped = world.records.filter(({ scopes }) => scopes["thread"] === "t")
    expect(world.records.length).toBe(4)
    expect(scoped.length).toBe(3)
    expect((await limits.budget.status({ thread: "t" }))[0]).toMatchObject({
      spent: scoped.reduce((sum, { cost }) => sum + cost, 0),
    })
  })

  it("a call limit ends the run before the budget is asked", async () => {
    await using world = await openWorld()
    const { middleware } = everyMiddleware(world)
    const one = modelCallLimit({ runLimit: 1 })
    const weather = tool(async () => "21 °C", {
      name: "get_weather",
      description: "Current weather of a city",
      schema: z.object({ city: z.string() }),
    })
    const agent = createAgent({
      model: world.router,
      tools: [weather],
      middleware: [middleware.budget, one, middleware.router],
    })
    const { messages } = await agent.invoke(WEATHER)
    expect(messages.at(-1)?.text).toMatch(/Model call limits exceeded/)
    expect(world.bodies()).toHaveLength(1)
  })
})
