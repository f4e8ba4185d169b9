import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager"
import { awaitAllCallbacks } from "@langchain/core/callbacks/promises"
import { BaseLLM } from "@langchain/core/language_models/llms"
import { HumanMessage } from "@langchain/core/messages"
import type { LLMResult } from "@langchain/core/outputs"
import { tool } from "@langchain/core/tools"
import { MessagesAnnotation, StateGraph } from "@langchain/langgraph"
import { createAgent, modelFallbackMiddleware } from "langchain"
import { BudgetCallbackHandler, BudgetExceededError, memoryBudget, type Price, TierwiseError } from "tierwise"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { failureOf, openLedger, silently } from "./budget-handler-world.ts"
import { openProvider, PROTOCOLS, type ProtocolName } from "./protocols.ts"
import { answers, openOddWorld } from "./scripted-server.ts"

const PRICE: Price = { inputPerMTok: 3, outputPerMTok: 15 }

/** Each of them reports ten tokens read and five written. */
const BILL = 10 * 3_000 + 5 * 15_000

const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
  name: "get_weather",
  description: "Current weather of a city",
  schema: z.object({ city: z.string() }),
})

const QUESTION = { messages: [{ role: "user" as const, content: "What is the weather in Rome?" }] }

function handlerOver(usd: number, options: object = {}) {
  const budget = memoryBudget({ limits: [{ scope: "global", window: "day", usd }] })
  return { budget, handler: new BudgetCallbackHandler({ budget, price: PRICE, ...options }) }
}

describe("BudgetCallbackHandler over every provider's package", () => {
  it.each(Object.keys(PROTOCOLS) as ProtocolName[])(
    "books what %s reports, whole, streamed and with tools, under a hold that covers it [L3.budget-unrouted]",
    async (name) => {
      await using provider = await openProvider(name)
      const { budget, handler } = handlerOver(1)
      const model = provider.model("m-1")
      const callbacks = [handler]
      await model.invoke("Hello", { callbacks })
      for await (const _ of await model.stream("Hello", { callbacks }));
      for await (const _ of model.streamEvents("Hello", { version: "v2", callbacks }));
      await model.bindTools?.([weather]).invoke("Hello", { callbacks })
      expect(await budget.status({})).toMatchObject([
        { held: 0, spent: 4 * BILL, overrun: 0, unconfirmed: 0 },
      ])
    },
  )

  it.each(Object.keys(PROTOCOLS) as ProtocolName[])(
    "knows whose model it is and what it is called: %s",
    async (name) => {
      await using provider = await openProvider(name)
      const asked: string[] = []
      const price = ({
        provider: whose,
        name: called,
      }: {
        provider: string | undefined
        name: string | undefined
      }) => {
        asked.push(`${whose}/${called}`)
        return PRICE
      }
      const { handler } = handlerOver(1, { price })
      await provider.model("m-1").invoke("Hello", { callbacks: [handler] })
      expect(asked).toEqual([`${name.replace(/-.*/, "")}/m-1`])
    },
  )

  it("counts what a server says that reports nothing, as an estimate", async () => {
    await using world = await openOddWorld(
      answers("one two three four five six seven eight", { usage: undefined }),
    )
    const { budget, handler } = handlerOver(1)
    const { ChatOpenAI } = await import("@langchain/openai")
    const configuration = { baseURL: world.baseUrl }
    const model = new ChatOpenAI({ model: "m", apiKey: "none", maxTokens: 100, configuration })
    await model.invoke("Hello", { callbacks: [handler] })
    const [status] = await budget.status({})
    expect(status).toMatchObject({ held: 0, overrun: 0 })
    // Eight tokens are written; a few are read beside the five bytes.
    expect(status?.spent).toBeGreaterThan(8 * 15_000)
    expect(status?.spent).toBeLessThan(20 * 3_000 + 12 * 15_000)
  })

  it("books the quote of an answer that says nothing and reports nothing", async () => {
    await using world = await openOddWorld(answers("", { usage: undefined }))
    const { budget, handler } = handlerOver(1)
    const { ChatOpenAI } = await import("@langchain/openai")
    const configuration = { baseURL: world.baseUrl }
    const model = new ChatOpenAI({ model: "m", apiKey: "none", maxTokens: 100, configuration })
    await model.invoke("Hello", { callbacks: [handler] })
    expect((await budget.status({}))[0]?.spent).toBeGreaterThan(100 * 15_000)
  })
})

/** Completes several prompts in one request, as OpenAI's old interface does. */
class Completions extends BaseLLM {
  private readonly reports: boolean
  calls = 0

  constructor(reports: boolean) {
    super({})
    this.reports = reports
  }

  override _llmType(): string {
    return "completions"
  }

  override invocationParams(): object {
    return { model: "old", max_tokens: 50 }
  }

  override async _generate(
    prompts: string[],
    _options: this["ParsedCallOptions"],
    _run?: CallbackManagerForLLMRun,
  ): Promise<LLMResult> {
    this.calls++
    const generations = prompts.map(() => [{ text: "one two three four" }])
    const tokenUsage = { promptTokens: 10, completionTokens: 5, totalTokens: 15 }
    return this.reports ? { generations, llmOutput: { tokenUsage } } : { generations }
  }
}

describe("BudgetCallbackHandler over a plain LLM", () => {
  it("books the usage of several prompts once", async () => {
    const { budget, handler } = handlerOver(1)
    await new Completions(true).generate(["Hello", "Hi", "Good day"], {}, [handler])
    expect(await budget.status({})).toMatchObject([{ held: 0, spent: BILL }])
  })

  it("counts each prompt where nothing is reported", async () => {
    const { budget, handler } = handlerOver(1)
    await new Completions(false).invoke("Hello", { callbacks: [handler] })
    const [one] = await budget.status({})
    expect(one?.spent).toBeGreaterThan(4 * 15_000)
    await new Completions(false).generate(["Hello", "Hello"], {}, [handler])
    expect(await budget.status({})).toMatchObject([{ held: 0, spent: 3 * (one?.spent ?? 0) }])
  })

  it("calls nobody when one of several prompts does not fit", async () => {
    const { budget, handler } = handlerOver(0.003)
    const llm = new Completions(true)
    const error = await silently(() => failureOf(llm.generate(Array<string>(9).fill("Hello"), {}, [handler])))
    expect(error).toBeInstanceOf(BudgetExceededError)
    expect(llm.calls).toBe(0)
    expect(await budget.status({})).toMatchObject([{ held: 0, spent: 0 }])
  })
})

describe("BudgetCallbackHandler in agents and graphs", () => {
  it.each(["invoke", "values", "messages", "updates"] as const)(
    "counts every step of an agent with tools: %s",
    async (mode) => {
      await using world = await openLedger()
      const agent = createAgent({ model: world.model(), tools: [weather] })
      const callbacks = [world.handler]
      if (mode === "invoke") await agent.invoke(QUESTION, { callbacks })
      else for await (const _ of await agent.stream(QUESTION, { callbacks, streamMode: mode }));
      await awaitAllCallbacks()
      expect(world.simulator.requests()).toHaveLength(2)
      expect(world.holds).toHaveLength(2)
      expect(await world.status()).toMatchObject({ held: 0, spent: world.billed(), overrun: 0 })
    },
  )

  it("ends an agent whose next step does not fit, and keeps the step before booked", async () => {
    await using probe = await openLedger()
    await createAgent({ model: probe.model({ maxTokens: 100 }), tools: [weather] }).invoke(QUESTION, {
      callbacks: [probe.handler],
    })
    const tokens = (probe.holds[0] ?? 0) + 10
    await using world = await openLedger({ limits: [{ scope: "global", window: "day", tokens }] })
    const agent = createAgent({ model: world.model({ maxTokens: 100 }), tools: [weather] })
    const error = await silently(() => failureOf(agent.invoke(QUESTION, { callbacks: [world.handler] })))
    expect(TierwiseError.find(error)).toBeInstanceOf(BudgetExceededError)
    expect(world.simulator.requests()).toHaveLength(1)
    const [line] = world.simulator.invoices()
    expect(await world.status()).toMatchObject({
      held: 0,
      spent: (line?.inputTokens ?? 0) + (line?.outputTokens ?? 0),
    })
  })

  it("counts the model that an agent's fallback brings in", async () => {
    await using world = await openLedger()
    world.simulator.script([{ status: 401 }])
    const middleware = [modelFallbackMiddleware(world.model())]
    await createAgent({ model: world.model(), tools: [], middleware }).invoke(QUESTION, {
      callbacks: [world.handler],
    })
    expect(world.holds).toHaveLength(2)
    expect(await world.status()).toMatchObject({ held: 0, spent: world.billed() })
  })

  it("counts a graph's models, also while their words are streamed", async () => {
    await using world = await openLedger()
    const model = world.model()
    const graph = new StateGraph(MessagesAnnotation)
      .addNode("one", async ({ messages }) => ({ messages: [await model.invoke(messages)] }))
      .addNode("two", async ({ messages }) => ({
        messages: [await model.invoke([...messages, new HumanMessage("And?")])],
      }))
      .addEdge("__start__", "one")
      .addEdge("one", "two")
      .compile()
    const config = { callbacks: [world.handler] }
    await graph.invoke(QUESTION, config)
    for await (const _ of await graph.stream(QUESTION, { ...config, streamMode: "messages" }));
    await awaitAllCallbacks()
    expect(world.holds).toHaveLength(4)
    expect(await world.status()).toMatchObject({ held: 0, spent: world.billed() })
  })

  it("counts structured answers", async () => {
    await using world = await openLedger()
    const schema = z.object({ city: z.string() })
    for (const method of ["jsonSchema", "functionCalling"] as const) {
      const asked = world.model().withStructuredOutput(schema, { method, name: "place", includeRaw: true })
      await failureOf(asked.invoke("Where is the Colosseum?", { callbacks: [world.handler] }))
    }
    expect(world.holds).toHaveLength(2)
    const { spent, held } = await world.status()
    expect(held).toBe(0)
    expect(spent).toBeGreaterThanOrEqual(world.billed())
  })
})
