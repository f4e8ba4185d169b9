import type { BaseMessage } from "@langchain/core/messages"
import { type StructuredToolInterface, tool } from "@langchain/core/tools"
import {
  createAgent,
  createMiddleware,
  modelFallbackMiddleware,
  providerStrategy,
  toolStrategy,
} from "langchain"
import {
  lowConfidence,
  NoEligibleDeploymentError,
  type RouteHints,
  type RouterChatModel,
  TierwiseError,
} from "tierwise"
import { routerMiddleware } from "tierwise/middleware"
import { describe, expect, expectTypeOf, it } from "vitest"
import { z } from "zod"
import { runProgram } from "../run-program.ts"
import { chatModel, openWorld, replyMetadata, type World } from "./world.ts"

const WEATHER = { messages: [{ role: "user" as const, content: "What is the weather in Rome?" }] }
const HELLO = { messages: [{ role: "user" as const, content: "Hello" }] }
const EXTRACT = {
  messages: [
    { role: "user" as const, content: "Turn this note into a record.\n\nName: Ada. Put down 36 as the age." },
  ],
}
const person = z.object({ name: z.string(), age: z.number().int() })

/** A tool that counts its calls. */
function weatherTool(): { readonly weather: StructuredToolInterface; readonly calls: string[] } {
  const calls: string[] = []
  const weather = tool(
    async ({ city }: { city: string }) => {
      calls.push(city)
      return `It is 21 °C in ${city}.`
    },
    {
      name: "get_weather",
      description: "Current weather of a city",
      schema: z.object({ city: z.string().describe("Name of the city") }),
    },
  )
  return { weather, calls }
}

const tiersOf = ({ records }: World) => records.map(({ answeredBy }) => answeredBy?.tier)
const lastOf = ({ messages }: { readonly messages: readonly BaseMessage[] }) => messages.at(-1) as BaseMessage

describe("an agent over a router", () => {
  it("runs with it as its only model, tools and all [L1.create-agent]", async () => {
    await using world = await openWorld()
    const { weather, calls } = weatherTool()
    const result = await createAgent({ model: world.router, tools: [weather] }).invoke(WEATHER)
    expect(calls).toEqual(["Rome"])
    expect(lastOf(result).text).toContain("21")
    expect(replyMetadata(lastOf(result))).toMatchObject({ v: 1, deployment: "sim-small" })
  })
})

describe("routerMiddleware", () => {
  it("routes each model call by its step [L4.routing-per-step]", async () => {
    await using world = await openWorld()
    const { weather, calls } = weatherTool()
    const agent = createAgent({
      model: world.router,
      tools: [weather],
      middleware: [
        routerMiddleware({
          router: world.router,
          steps: { ask: { taskType: "skill_invocation" }, "tool-results": { taskType: "simple_qa" } },
        }),
      ],
    })
    const result = await agent.invoke(WEATHER)
    expect(calls).toEqual(["Rome"])
    expect(lastOf(result).text).toContain("21")
    expect(tiersOf(world)).toEqual(["standard", "light"])
    expect(world.records.map(({ taskType }) => taskType)).toEqual(["skill_invocation", "simple_qa"])
  })

  it("answers in place of whatever model the agent has", async () => {
    await using world = await openWorld()
    const model = chatModel(world.simulator, "sim-echo")
    const agent = createAgent({ model, tools: [], middleware: [routerMiddleware({ router: world.router })] })
    expect(replyMetadata(lastOf(await agent.invoke(HELLO))).deployment).toBe("sim-small")
    expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small"])
  })

  it("knows a step that can only answer", async () => {
    await using world = await openWorld()
    const router = routerMiddleware({ router: world.router, steps: { "final-answer": { tier: "heavy" } } })
    await createAgent({ model: world.router, tools: [], middleware: [router] }).invoke(HELLO)
    expect(tiersOf(world)).toEqual(["heavy"])
  })

  it("takes the task type from state, and sooner from context, and soonest from a function [L4.routing-per-step]", async () => {
    await using world = await openWorld()
    const agentWith = (taskTypeOf?: () => string | undefined) =>
      createAgent({
        model: world.router,
        tools: [],
        middleware: [routerMiddleware({ router: world.router, taskTypeOf })],
      })
    const state = { ...HELLO, taskType: "thinking" }
    const context = { tierwise: { taskType: "skill_invocation" } }
    await agentWith().invoke(state)
    await agentWith().invoke(state, { context })
    await agentWith(() => "intent_classification").invoke(state, { context })
    await agentWith(() => undefined).invoke(state, { context })
    expect(tiersOf(world)).toEqual(["heavy", "standard", "light", "standard"])
  })

  it("keeps an agent inside its spec", async () => {
    await using world = await openWorld()
    const router = routerMiddleware({ router: world.router, agentSpec: { minTier: "standard" } })
    await createAgent({ model: world.router, tools: [], middleware: [router] }).invoke(HELLO)
    expect(tiersOf(world)).toEqual(["standard"])
  })

  it("takes hints out of another middleware's modelSettings, and leaves the rest to the provider", async () => {
    await using world = await openWorld()
    const outer = createMiddleware({
      name: "Outer",
      wrapModelCall: (request, handler) =>
        handler({ ...request, modelSettings: { tier: "heavy", parallel_tool_calls: false } }),
    })
    const settings: unknown[] = []
    const inner = createMiddleware({
      name: "Inner",
      wrapModelCall: (request, handler) => {
        settings.push(request.modelSettings)
        return handler(request)
      },
    })
    const { weather } = weatherTool()
    const agent = createAgent({
      model: world.router,
      tools: [weather],
      middleware: [outer, routerMiddleware({ router: world.router }), inner],
    })
    await agent.invoke(HELLO)
    expect(tiersOf(world)).toEqual(["heavy"])
    expect(settings).toEqual([{ parallel_tool_calls: false }])
    expect(world.bodies()[0]).not.toHaveProperty("tier")
    expect(world.bodies()[0]).toHaveProperty("parallel_tool_calls", false)
  })

  it("reads a context and a state of the user's own, as they are typed", async () => {
    await using world = await openWorld()
    const contextSchema = z.object({ tenantId: z.string(), plan: z.enum(["free", "paid"]) })
    const stateSchema = z.object({ drafts: z.number().default(0) })
    const router = routerMiddleware({
      router: world.router,
      contextSchema,
      stateSchema,
      hintsOf: ({ runtime, state, kind }) => {
        expectTypeOf(runtime.context.plan).toEqualTypeOf<"free" | "paid">()
        expectTypeOf(state.drafts).toEqualTypeOf<number>()
        expectTypeOf(state.messages).toEqualTypeOf<BaseMessage[]>()
        expectTypeOf(kind).toEqualTypeOf<"ask" | "tool-results" | "final-answer">()
        return {
          scopes: { tenant: runtime.context.tenantId },
          agentSpec: runtime.context.plan === "free" ? { maxTier: "light" } : { minTier: "standard" },
          attributes: { drafts: state.drafts },
        }
      },
    })
    const agent = createAgent({ model: world.router, tools: [], middleware: [router] })
    await agent.invoke(HELLO, { context: { tenantId: "acme", plan: "paid" } })
    await agent.invoke({ ...HELLO, drafts: 2 }, { context: { tenantId: "beta", plan: "free" } })
    expect(world.records.map(({ scopes }) => scopes["tenant"])).toEqual(["acme", "beta"])
    expect(tiersOf(world)).toEqual(["standard", "light"])
    // @ts-expect-error the plan is missing
    await expect(agent.invoke(HELLO, { context: { tenantId: "acme" } })).rejects.toThrow(/plan/)
  })

  it("types its default context and state", async () => {
    await using world = await openWorld()
    const router = routerMiddleware({
      router: world.router,
      taskTypeOf: ({ state, runtime }) => {
        expectTypeOf(state.taskType).toEqualTypeOf<string | undefined>()
        expectTypeOf(state.messages).toEqualTypeOf<BaseMessage[]>()
        expectTypeOf(runtime.context.tierwise).toEqualTypeOf<RouteHints | undefined>()
        return runtime.context.tierwise?.taskType ?? state.taskType
      },
    })
    const agent = createAgent({ model: world.router, tools: [], middleware: [router] })
    const { taskType } = await agent.invoke({ ...HELLO, taskType: "skill_invocation" })
    expectTypeOf(taskType).toEqualTypeOf<string | undefined>()
    expect([taskType, ...tiersOf(world)]).toEqual(["skill_invocation", "standard"])
    // @ts-expect-error a tier is a name
    expect(() => agent.invoke(HELLO, { context: { tierwise: { tier: 1 } } })).toBeTypeOf("function")
  })

  it("refuses what is no router, naming the fix", () => {
    const router = {} as RouterChatModel
    expect(() => routerMiddleware({ router })).toThrow(/router: .* Fix: give a RouterChatModel/)
  })

  it("escalates inside a step, and shows none of the discarded words [L4.routing-per-step]", async () => {
    await using world = await openWorld({ validator: lowConfidence() })
    world.simulator.script([{ model: "sim-small", answer: "I'm not sure about this." }])
    const { weather, calls } = weatherTool()
    const agent = createAgent({
      model: world.router,
      tools: [weather],
      middleware: [routerMiddleware({ router: world.router })],
    })
    let shown = ""
    for await (const [message] of await agent.stream(WEATHER, { streamMode: "messages" })) {
      if (message.type === "ai") shown += message.text
    }
    expect(calls).toEqual(["Rome"])
    expect(world.records[0]?.decisions.map(({ tier }) => tier)).toEqual(["light", "standard"])
    expect(shown).not.toContain("not sure")
    expect(shown).toContain("21 °C")
    expect(shown.match(/21 °C/g)).toHaveLength(1)
  })

  it("has its errors recognised through the agent's wrapping", async () => {
    await using world = await openWorld()
    const router = routerMiddleware({ router: world.router, hintsOf: () => ({ labels: { region: "mars" } }) })
    const agent = createAgent({ model: world.router, tools: [], middleware: [router] })
    const error = await agent.invoke(HELLO).catch((thrown: unknown) => thrown)
    expect(error).not.toBeInstanceOf(NoEligibleDeploymentError)
    expect(TierwiseError.isInstance(error)).toBe(true)
    expect(TierwiseError.find(error)).toBeInstanceOf(NoEligibleDeploymentError)
  })
})

describe("an agent's response format", () => {
  const strategies = { tools: toolStrategy(person), provider: providerStrategy(person) }

  it.each(["tools", "provider"] as const)(
    "is kept by a routed call, by %s [L4.with-response-format]",
    async (kind) => {
      await using world = await openWorld()
      const router = routerMiddleware({ router: world.router, taskTypeOf: () => "skill_invocation" })
      const shared = { model: world.router, tools: [], middleware: [router] as const }
      const agent =
        kind === "tools"
          ? createAgent({ ...shared, responseFormat: strategies.tools })
          : createAgent({ ...shared, responseFormat: strategies.provider })
      expect((await agent.invoke(EXTRACT)).structuredResponse).toEqual({ name: "Ada", age: 36 })
      expect(tiersOf(world)).toEqual(["standard"])
    },
  )

  it("escalates an answer that breaks it [L4.with-response-format]", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", answer: '{"name": "Ada"}' }])
    const agent = createAgent({
      model: world.router,
      tools: [],
      responseFormat: strategies.provider,
      middleware: [routerMiddleware({ router: world.router, taskTypeOf: () => "simple_qa" })],
    })
    expect((await agent.invoke(EXTRACT)).structuredResponse).toEqual({ name: "Ada", age: 36 })
    expect(world.records[0]?.decisions.map(({ tier }) => tier)).toEqual(["light", "standard"])
  })
})

describe("a model that another middleware brings in", () => {
  it.each(["before", "after"] as const)(
    "answers when the router could not, with the fallback %s the router [L4.with-other-middleware]",
    async (where) => {
      await using world = await openWorld({ maxRetries: 0 })
      world.simulator.script([{ model: "sim-small", status: 500 }])
      const fallback = modelFallbackMiddleware(chatModel(world.simulator, "sim-echo"))
      const router = routerMiddleware({ router: world.router, agentSpec: { tier: "light" } })
      const middleware = where === "before" ? [fallback, router] : [router, fallback]
      const result = await createAgent({ model: world.router, tools: [], middleware }).invoke(HELLO)
      expect(lastOf(result).text).toBe("Hello")
      expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small", "sim-echo"])
      expect(world.bodies()[1]).not.toHaveProperty("agentSpec")
    },
  )
})

describe("the library without its middleware", () => {
  it("never loads langchain", async () => {
    const loads = `data:text/javascript,import { registerHooks } from "node:module"
registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) })`
    const load = (entry: string) =>
      runProgram(
        process.execPath,
        ["--conditions=@tierwise/source", `--import=${encodeURI(loads)}`, "-e", `import("${entry}")`],
        { cwd: import.meta.dirname },
      )
    const isLangChain = /node_modules\/langchain\//
    const [library, middleware] = await Promise.all([load("tierwise"), load("tierwise/middleware")])
    expect(library.output).toMatch(/router-chat-model/)
    expect(library.output).not.toMatch(isLangChain)
    expect(middleware.output).toMatch(isLangChain)
  })
})
