import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { ChatAnthropic } from "@langchain/anthropic"
import { InMemoryCache } from "@langchain/core/caches"
import { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, AIMessageChunk, type BaseMessage, HumanMessage } from "@langchain/core/messages"
import { RunnableEach, RunnableLambda } from "@langchain/core/runnables"
import { fakeModel } from "@langchain/core/testing"
import { tool } from "@langchain/core/tools"
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph"
import { createReactAgent } from "@langchain/langgraph/prebuilt"
import { ChatOpenAI } from "@langchain/openai"
import { createAgent, providerStrategy, toolStrategy } from "langchain"
import {
  CandidatesExhaustedError,
  ConfigError,
  FallbackChain,
  type FallbackChainFields,
  InvalidRequestError,
  RouterChatModel,
} from "tierwise"
import { describe, expect, expectTypeOf, it } from "vitest"
import { z } from "zod"
import * as z3 from "zod/v3"
import { chatModel, openWorld, RunCounter, usageOf, type World } from "./world.ts"

const city = z.object({ city: z.string().describe("Name of the city") })
const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
  name: "get_weather",
  description: "Current weather of a city",
  schema: city,
})
const clock = tool(async () => "12:00", {
  name: "get_time",
  description: "Local time of a city",
  schema: city,
})
const person = z.object({ name: z.string(), age: z.number().int() })
const ADA = { name: "Ada", age: 36 }
const QUESTION = "What is the weather in Rome?"
const EXTRACT = "Turn this note into a record.\n\nName: Ada. Put down 36 as the age."

type Settings = Omit<FallbackChainFields<unknown, unknown>, "links">

const chainOver = ({ simulator }: World, settings: Settings = {}) =>
  new FallbackChain({
    links: [
      { tier: "light", runnable: chatModel(simulator, "sim-small") },
      { tier: "heavy", runnable: chatModel(simulator, "sim-large") },
    ],
    retryBaseMs: 1,
    ...settings,
  })

const DOWN = { model: "sim-small", status: 401 }

describe("a FallbackChain over chat models", () => {
  it("is a chat model [L2.fallback-over-chat-models]", async () => {
    await using world = await openWorld()
    const chain = chainOver(world)
    expect(chain).toBeInstanceOf(BaseChatModel)
    expect(chain).toBeInstanceOf(FallbackChain)
    expect(chain.getName()).toBe("FallbackChain")
    expectTypeOf(chain).toExtend<BaseChatModel>()
  })

  it("is typed by its links: a chat model if all of them are, else a Runnable", async () => {
    const [openai, anthropic] = [new ChatOpenAI({ apiKey: "none" }), new ChatAnthropic({ apiKey: "none" })]
    const models = new FallbackChain({
      links: [
        { tier: "light", runnable: openai },
        { tier: "heavy", runnable: anthropic },
      ],
    })
    expectTypeOf(models).toExtend<BaseChatModel>()
    const outer = new FallbackChain({ links: [{ tier: "only", runnable: models }] })
    expectTypeOf(outer).toEqualTypeOf(models)
    const mixed = new FallbackChain({
      links: [
        { tier: "light", runnable: openai },
        { tier: "heavy", runnable: RunnableLambda.from((text: string) => text.length) },
      ],
    })
    expectTypeOf(mixed).not.toExtend<BaseChatModel>()
    expectTypeOf<Awaited<ReturnType<typeof mixed.invoke>>>().toEqualTypeOf<AIMessageChunk | number>()
    expect([models, outer, mixed].map((chain) => "bindTools" in chain && "_modelType" in chain)).toEqual([
      true,
      true,
      false,
    ])
  })

  it("runs an agent with tools, falling back at every step [L2.fallback-over-chat-models]", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", status: 500, times: 9 }])
    const agent = createAgent({ model: chainOver(world, { maxRetries: 0 }), tools: [weather] })
    const { messages } = await agent.invoke({ messages: [new HumanMessage(QUESTION)] })
    expect(messages.map(({ type }) => type)).toEqual(["human", "ai", "tool", "ai"])
    expect(messages.at(-1)?.text).toContain("21")
    expect(world.bodies().map(({ model }) => model)).toEqual([
      "sim-small",
      "sim-large",
      "sim-small",
      "sim-large",
    ])
  })

  it.each([
    ["the provider's own way", providerStrategy(person)],
    ["a tool", toolStrategy(person)],
    ["what the models' profiles say", person],
  ])("runs an agent that must answer under a schema, by %s", async (_, responseFormat) => {
    await using world = await openWorld()
    world.simulator.script([{ ...DOWN, times: 9 }])
    const agent = createAgent({
      model: chainOver(world),
      tools: [],
      responseFormat: responseFormat as typeof person,
    })
    const { structuredResponse } = await agent.invoke({ messages: [new HumanMessage(EXTRACT)] })
    expect(structuredResponse).toEqual(ADA)
  })

  it("runs LangGraph's prebuilt agent", async () => {
    await using world = await openWorld()
    world.simulator.script([{ ...DOWN, times: 9 }])
    const agent = createReactAgent({ llm: chainOver(world), tools: [weather], responseFormat: city })
    const { messages, structuredResponse } = await agent.invoke({ messages: [new HumanMessage(QUESTION)] })
    expect(messages.at(-1)?.text).toContain("21")
    expect(structuredResponse).toHaveProperty("city")
  })

  it("is one LLM run per link that was asked, and the usage of the one that answered", async () => {
    await using world = await openWorld()
    world.simulator.script([DOWN])
    const counter = new RunCounter()
    const reply = await chainOver(world)
      .bindTools([weather])
      .invoke(QUESTION, { callbacks: [counter] })
    expect(counter.events.filter((event) => event === "llm")).toHaveLength(2)
    expect(counter.events.filter((event) => event === "llm end")).toHaveLength(1)
    expect(usageOf(reply)?.total_tokens).toBe(counter.tokens)
    expect(reply.response_metadata["model_name"]).toBe("sim-large")
  })

  it("never lets a link retry on its own, and takes a call's maxRetries for itself", async () => {
    await using world = await openWorld()
    world.simulator.script([{ status: 500, times: 20 }])
    const failed = chainOver(world).invoke("Hello", { maxRetries: 1 })
    await expect(failed).rejects.toThrow(CandidatesExhaustedError)
    expect(world.bodies().map(({ model }) => model)).toEqual([
      "sim-small",
      "sim-small",
      "sim-large",
      "sim-large",
    ])
    await expect(chainOver(world).invoke("Hello", { maxRetries: -1 })).rejects.toThrow(InvalidRequestError)
  })

  it("keeps what is bound to it in copies, and merges what is bound late", async () => {
    await using world = await openWorld()
    const chain = chainOver(world)
    const bound = chain
      .withConfig({ tags: ["a"], metadata: { a: 1 } })
      .bindTools([weather], { tool_choice: "get_time" })
      .withConfig({ tags: ["b"] })
      .bindTools([clock])
    const seen: object[] = []
    const handler = {
      handleChatModelStart: (...[, , , , , tags, metadata]: unknown[]) => void seen.push({ tags, metadata }),
    }
    await bound.invoke(QUESTION, { tags: ["c"], callbacks: [handler] })
    const [{ tools, tool_choice } = {}] = world.bodies() as object[] as {
      tools?: unknown
      tool_choice?: unknown
    }[]
    expect(tools).toMatchObject([{ function: { name: "get_weather" } }, { function: { name: "get_time" } }])
    expect(tool_choice).toEqual({ type: "function", function: { name: "get_time" } })
    expect(seen).toMatchObject([{ tags: ["a", "b", "c"], metadata: { a: 1 } }])
    await chain.invoke("Hello")
    expect(world.bodies()[1]).not.toHaveProperty("tools")
  })

  it("adds tools to those that a link has, and replaces one of the same name", async () => {
    await using world = await openWorld()
    const other = tool(async () => "", { name: "get_time", description: "Another clock", schema: city })
    const runnable = chatModel(world.simulator, "sim-small").bindTools([weather, clock])
    const chain = new FallbackChain({ links: [{ tier: "light", runnable: runnable as ChatOpenAI }] })
    await chain.bindTools([other]).invoke(QUESTION)
    expect(world.bodies()[0]?.["tools"]).toMatchObject([
      { function: { name: "get_weather" } },
      { function: { name: "get_time", description: "Another clock" } },
    ])
  })

  it("never sends an empty list of tools, nor a choice among none", async () => {
    await using world = await openWorld()
    await chainOver(world).bindTools([], { tool_choice: "any" }).invoke("Hello")
    expect(world.bodies()[0]).not.toHaveProperty("tools")
    expect(world.bodies()[0]).not.toHaveProperty("tool_choice")
  })

  it("hands on what its links' packages take: strict tools, their own options, stop sequences", async () => {
    await using world = await openWorld()
    const chain = chainOver(world)
    const strict = chain.bindTools([weather], { strict: true })
    await strict.invoke(QUESTION, { providerOptions: { seed: 7 } })
    expect(world.bodies()[0]).toMatchObject({ seed: 7, tools: [{ function: { strict: true } }] })
    await strict.withStructuredOutput(person, { method: "jsonSchema" }).invoke(EXTRACT)
    expect(world.bodies()[1]).toMatchObject({ tools: [{ function: { strict: true } }] })
    await chain.generate([[new HumanMessage("Hello")]], ["§"])
    expect(world.bodies()[2]).toMatchObject({ stop: ["§"] })
  })

  it("streams chunks also over a model that does not stream", async () => {
    const runnable = fakeModel().respond(new AIMessage("All at once."))
    const chain = new FallbackChain({ links: [{ tier: "light", runnable }] })
    const chunks: AIMessageChunk[] = []
    for await (const chunk of await chain.stream("Hello")) chunks.push(chunk)
    expect(chunks.map((chunk) => AIMessageChunk.isInstance(chunk))).toEqual([true])
    expect(chunks[0]?.text).toBe("All at once.")
  })

  it("says which link cannot bind tools", async () => {
    await using world = await openWorld()
    const plain = Object.assign(chatModel(world.simulator, "sim-small"), { bindTools: undefined })
    const chain = new FallbackChain({
      links: [
        { tier: "light", runnable: chatModel(world.simulator, "sim-small") },
        { tier: "heavy", runnable: plain },
      ],
    })
    expect(() => chain.bindTools([weather])).toThrow(expect.objectContaining({ path: "links[1].runnable" }))
  })

  it("answers with a message of the caller's own, also where a link keeps it in a cache", async () => {
    await using world = await openWorld()
    const runnable = Object.assign(chatModel(world.simulator, "sim-small"), { cache: new InMemoryCache() })
    const chain = new FallbackChain({ links: [{ tier: "light", runnable }] })
    const first = await chain.invoke("Hello")
    const tokens = usageOf(first)?.total_tokens
    const second = await chain.invoke("Hello")
    expect(world.bodies()).toHaveLength(1)
    expect(usageOf(first)?.total_tokens).toBe(tokens)
    expect(usageOf(second)?.total_tokens).toBe(0)
    expect(AIMessage.isInstance(second)).toBe(true)
    // As agents do, and readers may.
    Object.assign(second, { name: "agent" })
    for (const part of [second.lc_kwargs, second.response_metadata, second.additional_kwargs]) {
      Object.assign(part, { name: "agent" })
    }
    expect(JSON.stringify(await chain.invoke("Hello"))).not.toContain("agent")
    const { lc_kwargs, response_metadata, additional_kwargs } = await chain.invoke("Hello")
    expect([lc_kwargs, response_metadata, additional_kwargs].map(({ name }) => name)).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it("promises what all its links can do, and tells no key", async () => {
    const model = (name: string) => new ChatOpenAI({ model: name, apiKey: "sk-secret" })
    const chain = new FallbackChain({
      links: [
        { tier: "light", runnable: model("gpt-4o-mini") },
        { tier: "heavy", runnable: model("gpt-5") },
      ],
    })
    expect(chain.profile).toMatchObject({ structuredOutput: true, toolCalling: true })
    expect(chain.profile.maxInputTokens).toBe(model("gpt-4o-mini").profile.maxInputTokens)
    const known = { chain, params: chain._identifyingParams(), ls: chain.getLsParams({}) }
    expect(JSON.stringify(known)).not.toContain("sk-secret")
    expect(chain.getLsParams({})).toMatchObject({ ls_provider: "tierwise", ls_model_name: "light|heavy" })
  })

  it("counts the tokens of a conversation, as agents ask for it", async () => {
    await using world = await openWorld()
    const messages = [new HumanMessage("Hello"), new AIMessage("Hello! How can I help you today?")]
    const { totalCount, countPerMessage } = await chainOver(world).getNumTokensFromMessages(messages)
    expect(countPerMessage).toHaveLength(2)
    expect(countPerMessage[1]).toBeGreaterThan(countPerMessage[0] as number)
    expect(totalCount).toBeGreaterThanOrEqual(countPerMessage.reduce((sum, count) => sum + count))
  })

  it("stands where any chat model stands: in another chain, and behind a router", async () => {
    await using world = await openWorld()
    world.simulator.script([DOWN])
    const inner = chainOver(world)
    const outer = new FallbackChain({ links: [{ tier: "only", runnable: inner }] })
    const reply = await outer.bindTools([weather]).invoke(QUESTION)
    expect(reply.tool_calls).toMatchObject([{ name: "get_weather" }])
    const deployment = {
      tier: "only",
      model: inner,
      price: "free",
      profile: { maxInputTokens: 9e3 },
    } as const
    const router = new RouterChatModel({ tiers: ["only"], deployments: [deployment] })
    expect((await router.invoke("Hello")).text).not.toBe("")
  })
})

describe("a FallbackChain under a schema", () => {
  it("asks the next link when an answer does not parse, and keeps every link's error", async () => {
    await using world = await openWorld()
    const chain = chainOver(world).withStructuredOutput(person, { method: "jsonSchema" })
    world.simulator.script([{ model: "sim-small", answer: '{"name": "Ada", "age":' }])
    const { output, answeredBy, attempts } = await chain.answer(EXTRACT)
    expect(output).toEqual(ADA)
    expect(answeredBy.tier).toBe("heavy")
    expect(attempts).toMatchObject([{ outcome: "failed" }, { outcome: "answered" }])
    world.simulator.script([{ answer: "no JSON today", times: 9 }])
    const error = await chain.invoke(EXTRACT).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CandidatesExhaustedError)
    expect((error as CandidatesExhaustedError).attempts).toHaveLength(2)
  })

  it("asks the next link when a provider fails, and lets no link retry on its own", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", status: 500, times: 9 }])
    const chain = chainOver(world, { maxRetries: 0 }).withStructuredOutput(person)
    expect(await chain.invoke(EXTRACT)).toEqual(ADA)
    expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small", "sim-large"])
  })

  it("streams an answer that grows, falling back before its first piece", async () => {
    await using world = await openWorld()
    const schema = {
      title: "flags",
      type: "object",
      properties: { done: { type: "boolean" }, age: { type: "integer" } },
      required: ["done", "age"],
      additionalProperties: false,
    }
    const answer = '{"done": true, "age": 36}'
    world.simulator.script([DOWN, { model: "sim-large", answer }])
    const ends: unknown[] = []
    const handler = {
      awaitHandlers: true,
      handleChainEnd: ({ output }: { output?: unknown }) => void ends.push(output),
    }
    const pieces: unknown[] = []
    const options = { callbacks: [handler as never] }
    for await (const piece of await chainOver(world).withStructuredOutput(schema).stream(EXTRACT, options)) {
      pieces.push(piece)
    }
    expect(pieces.length).toBeGreaterThan(1)
    expect(pieces.at(-1)).toEqual({ done: true, age: 36 })
    expect(ends.at(-1)).toEqual({ done: true, age: 36 })
  })

  it("keeps the tags that were bound before", async () => {
    await using world = await openWorld()
    const counter = new RunCounter()
    const chain = chainOver(world)
      .withConfig({ tags: ["mine"] })
      .withStructuredOutput(person)
    await chain.invoke(EXTRACT, { callbacks: [counter] })
    expect(counter.events.find((event) => event.startsWith("llm"))).toContain("mine")
  })

  it("is typed by its schema", async () => {
    await using world = await openWorld()
    const chain = chainOver(world)
    expectTypeOf(await chain.invoke("Hello")).toEqualTypeOf<AIMessageChunk>()
    expectTypeOf(chain.bindTools([weather])).toEqualTypeOf(chain)
    const parsed = await chain.withStructuredOutput(person).invoke(EXTRACT)
    expectTypeOf(parsed).toEqualTypeOf<{ name: string; age: number }>()
    const old = chain.withStructuredOutput(z3.z.object({ n: z3.z.string().transform(Number) }))
    expectTypeOf<Awaited<ReturnType<typeof old.invoke>>>().toEqualTypeOf<{ n: number }>()
    const json = chain.withStructuredOutput({ type: "object", properties: {} })
    expectTypeOf<Awaited<ReturnType<typeof json.invoke>>>().toEqualTypeOf<Record<string, unknown>>()
    const both = await chain.withStructuredOutput(person, { includeRaw: true }).invoke(EXTRACT)
    expectTypeOf(both.parsed).toEqualTypeOf<{ name: string; age: number }>()
    expectTypeOf(both.raw).toEqualTypeOf<BaseMessage>()
    expect(both.parsed).toEqual(ADA)
  })
})

describe("a FallbackChain in a graph that shows words as they come", () => {
  const graphOver = (model: BaseChatModel) =>
    new StateGraph(MessagesAnnotation)
      .addNode("ask", async ({ messages }) => ({ messages: [await model.invoke(messages)] }))
      .addEdge(START, "ask")
      .addEdge("ask", END)
      .compile()

  async function shown(model: BaseChatModel): Promise<{ text: string; error: unknown }> {
    let text = ""
    try {
      const input = { messages: [new HumanMessage("Hello")] }
      for await (const [chunk] of await graphOver(model).stream(input, { streamMode: "messages" }))
        text += chunk.text
      return { text, error: undefined }
    } catch (error) {
      return { text, error }
    }
  }

  it("falls back while nothing has been shown", async () => {
    await using world = await openWorld()
    world.simulator.script([DOWN, { model: "sim-large", answer: "All is well." }])
    expect(await shown(chainOver(world))).toEqual({ text: "All is well.", error: undefined })
  })

  it("does not go on with another link's words after the first were shown", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", answer: "One two three four five.", cutAfterChunks: 3 }])
    const { text, error } = await shown(chainOver(world))
    expect("One two three four five.".startsWith(text)).toBe(true)
    expect(text).not.toBe("")
    expect(error).toBeInstanceOf(Error)
    expect(world.bodies()).toHaveLength(1)
  })
})

describe("a FallbackChain whose links are bound by their packages", () => {
  it("speaks to each provider in its own form, and treats a binding as its provider", async () => {
    await using world = await openWorld()
    await using anthropic = await openAnthropic(["garbage", "down", "words"])
    const bound = anthropic.model.withConfig({ stop: ["§"], tool_choice: "auto" })
    const chain = new FallbackChain({
      links: [
        { tier: "light", runnable: bound },
        { tier: "heavy", runnable: chatModel(world.simulator, "sim-large") },
      ],
      maxRetries: 0,
    })
    expect(chain).toBeInstanceOf(BaseChatModel)
    const withTools = (chain as unknown as ReturnType<typeof chainOver>).bindTools([weather], {
      tool_choice: "any",
    })
    for (const expected of ["sim-large", "sim-large", "claude-sonnet-4-5"]) {
      const { response_metadata } = await withTools.invoke(QUESTION)
      expect(response_metadata["model_name"] ?? response_metadata["model"]).toBe(expected)
    }
    expect(anthropic.bodies).toHaveLength(3)
    expect(anthropic.bodies[0]).toMatchObject({
      tools: [{ name: "get_weather", input_schema: { type: "object" } }],
      tool_choice: { type: "any" },
      stop_sequences: ["§"],
    })
    expect(world.bodies()[0]).toMatchObject({
      tools: [{ function: { name: "get_weather" } }],
      tool_choice: "required",
    })
  })

  it("adds tools to those that a binding holds in its provider's form", async () => {
    await using anthropic = await openAnthropic(["words"])
    const runnable = anthropic.model.bindTools([clock]) as unknown as ChatAnthropic
    await new FallbackChain({ links: [{ tier: "only", runnable }] }).bindTools([weather]).invoke(QUESTION)
    expect(anthropic.bodies[0]).toMatchObject({ tools: [{ name: "get_time" }, { name: "get_weather" }] })
  })

  it("can be asked for a schema, also after tools were bound", async () => {
    await using anthropic = await openAnthropic(["ada"])
    const runnable = anthropic.model.withConfig({ stop: ["§"] }) as unknown as ChatAnthropic
    const chain = new FallbackChain({ links: [{ tier: "only", runnable }] })
    const options = { method: "functionCalling", name: "extract" }
    for (const model of [chain, chain.bindTools([weather])]) {
      expect(await model.withStructuredOutput(person, options).invoke(EXTRACT)).toEqual(ADA)
    }
    expect(anthropic.bodies[1]).toMatchObject({ tools: [{ name: "extract" }], stop_sequences: ["§"] })
  })
})

describe("a FallbackChain with a link that is no chat model", () => {
  it("is a Runnable, and looks like no chat model [L2.fallback-over-any-runnable]", async () => {
    await using world = await openWorld()
    const lambda = RunnableLambda.from(() => new AIMessage("from the shelf")).withConfig({ runName: "shelf" })
    const links = [
      { tier: "light", runnable: chatModel(world.simulator, "sim-small") },
      { tier: "shelf", runnable: lambda },
    ]
    const chain = new FallbackChain({ links })
    for (const name of ["_streamResponseChunks", "_modelType", "_generate", "profile"]) {
      expect(name in chain).toBe(false)
    }
    expect(chain).toBeInstanceOf(FallbackChain)
    expect(chain).not.toBeInstanceOf(BaseChatModel)
    world.simulator.script([DOWN])
    expect((await chain.invoke("Hello")).text).toBe("from the shelf")
    const tags: unknown[] = []
    const handler = { handleChainStart: (...args: unknown[]) => void tags.push(args[4]) }
    const bound = chain.withConfig({ tags: ["a"] }).withConfig({ tags: ["b"] })
    world.simulator.script([DOWN])
    const { answeredBy } = await bound.answer("Hello", { callbacks: [handler] })
    expect(answeredBy.tier).toBe("shelf")
    expect(tags[0]).toEqual(["a", "b"])
  })

  it("takes a Runnable over many inputs for what it is, and not for its model", async () => {
    await using world = await openWorld()
    const runnable = new RunnableEach({ bound: chatModel(world.simulator, "sim-small") })
    const chain = new FallbackChain({ links: [{ tier: "each", runnable }] })
    expect("_streamResponseChunks" in chain).toBe(false)
    expect(await chain.invoke(["Hello", "Hello"])).toHaveLength(2)
  })

  it("says which link it is that tools, schemas and events are not for", async () => {
    const links = [{ tier: "light", runnable: RunnableLambda.from((text: string) => text) }]
    const chain = new FallbackChain({ links })
    const asks = [
      () => chain.bindTools(),
      () => chain.withStructuredOutput(),
      () => chain.generate(),
      () => chain.getNumTokens(),
      () => chain.streamEvents("Hello"),
    ]
    for (const ask of asks) {
      expect(ask).toThrow(expect.objectContaining({ constructor: ConfigError, path: "links[0].runnable" }))
      expect(ask).toThrow("RunnableLambda is no chat model")
    }
    const events: string[] = []
    for await (const { event } of chain.streamEvents("Hello", { version: "v2" })) events.push(event)
    expect(events.at(-1)).toBe("on_chain_end")
  })
})

type Way = "garbage" | "down" | "words" | "ada"

/** A provider that speaks Anthropic's protocol; the last way of answering stays. */
async function openAnthropic(ways: readonly Way[]) {
  const bodies: unknown[] = []
  const content: Partial<Record<Way, object>> = {
    words: { type: "text", text: "It is sunny." },
    ada: { type: "tool_use", id: "toolu_1", name: "extract", input: ADA },
  }
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on("end", () => {
      bodies.push(JSON.parse(body))
      const way = ways[Math.min(bodies.length, ways.length) - 1] as Way
      const usage = { input_tokens: 10, output_tokens: 5 }
      const message = {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "claude-sonnet-4-5",
        stop_reason: "end_turn",
        usage,
      }
      const said = content[way] === undefined ? "{" : JSON.stringify({ ...message, content: [content[way]] })
      response.writeHead(way === "down" ? 500 : 200, { "content-type": "application/json" }).end(said)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const anthropicApiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    bodies,
    model: new ChatAnthropic({ model: "claude-sonnet-4-5", apiKey: "none", anthropicApiUrl }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
