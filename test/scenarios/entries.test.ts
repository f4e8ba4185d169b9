import type { ServerResponse } from "node:http"
import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { type AIMessageChunk, type BaseMessage, HumanMessage } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { FakeListChatModel } from "@langchain/core/utils/testing"
import {
  Command,
  END,
  GraphInterrupt,
  InMemoryStore,
  interrupt,
  MemorySaver,
  MessagesAnnotation,
  START,
  StateGraph,
} from "@langchain/langgraph"
import { createReactAgent } from "@langchain/langgraph/prebuilt"
import { createAgent } from "langchain"
import {
  BudgetExceededError,
  memoryBudget,
  type ResponseValidator,
  RouterChatModel,
  TierwiseError,
} from "tierwise"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { ENTRIES, type Entry, POOR } from "./matrix/entries.ts"
import { openProvider, PROTOCOLS, type ProtocolName } from "./protocols.ts"
import { answers, openOddWorld, type Way } from "./scripted-server.ts"
import { chatModel, openWorld, RunCounter } from "./world.ts"

const WEATHER = "What is the weather in Rome?"
const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
  name: "get_weather",
  description: "Current weather of a city",
  schema: z.object({ city: z.string().describe("Name of the city") }),
})

/** A stream that says its next word when the test tells it to, and knows when its reader has gone. */
function wordByWord() {
  const opened = Promise.withResolvers<ServerResponse>()
  const closed = Promise.withResolvers<void>()
  const send = (response: ServerResponse, delta: object, finish_reason: string | null = null) => {
    const choices = [{ index: 0, delta, finish_reason }]
    const chunk = { id: "c-1", object: "chat.completion.chunk", created: 1, model: "m", choices }
    response.write(`data: ${JSON.stringify(chunk)}\n\n`)
  }
  const way: Way = (response) => {
    response.on("close", closed.resolve)
    response.writeHead(200, { "content-type": "text/event-stream" })
    opened.resolve(response)
  }
  return {
    way,
    closed: closed.promise,
    say: async (content: string) => send(await opened.promise, { role: "assistant", content }),
    end: async () => {
      const response = await opened.promise
      send(response, {}, "stop")
      response.end("data: [DONE]\n\n")
    },
  }
}

/** Time enough for anything that is on its way within this machine. */
const aWhile = () => new Promise((resolve) => setTimeout(resolve, 60))

async function firstWords(chunks: AsyncIterator<AIMessageChunk>): Promise<string> {
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next())
    if (next.value.text !== "") return next.value.text
  return ""
}

describe("a stream's first words", () => {
  it("reach the reader before the provider has sent the second, where nothing is gated [L1.stream]", async () => {
    const speech = wordByWord()
    await using world = await openOddWorld(speech.way)
    const opening = world.router().stream("Hello")
    await speech.say("First")
    const chunks = (await opening)[Symbol.asyncIterator]()
    expect(await firstWords(chunks)).toBe("First")
    await speech.say(" second")
    expect(await firstWords(chunks)).toBe(" second")
    await speech.end()
    expect(await firstWords(chunks)).toBe("")
  })

  it("wait for the verdict where the tier is gated", async () => {
    const speech = wordByWord()
    await using world = await openOddWorld(speech.way)
    const first = world
      .router({ gate: "full" })
      .stream("Hello")
      .then((chunks) => firstWords(chunks[Symbol.asyncIterator]()))
    await speech.say("First")
    expect(await Promise.race([first, aWhile().then(() => "nothing yet")])).toBe("nothing yet")
    await speech.end()
    expect(await first).toBe("First")
  })

  it.each([
    ["by its pin", { tier: "heavy" }],
    ["by the ceiling of the agent", { agentSpec: { maxTier: "light" } }],
  ])("never wait at the last tier that is allowed, %s", async (_, hints) => {
    const speech = wordByWord()
    await using world = await openOddWorld(speech.way)
    const opening = world.router({ gate: "full" }).stream("Hello", hints)
    await speech.say("First")
    const chunks = (await opening)[Symbol.asyncIterator]()
    expect(await firstWords(chunks)).toBe("First")
    await speech.end()
    expect(await firstWords(chunks)).toBe("")
  })
})

/** Opens one way of reading and stops at the first words. */
const READERS: readonly (readonly [
  name: string,
  read: (model: BaseChatModel, config: object) => Promise<void>,
])[] = [
  [
    "stream",
    async (model, config) => {
      for await (const { text } of await model.stream("Hello", config)) if (text !== "") break
    },
  ],
  [
    "streamEvents v2",
    async (model, config) => {
      for await (const { event, data } of model.streamEvents("Hello", { ...config, version: "v2" }))
        if (event === "on_chat_model_stream" && (data.chunk as AIMessageChunk).text !== "") break
    },
  ],
  [
    "a graph's messages",
    async (model, config) => {
      const graph = oneNode((messages, config) => model.invoke(messages, config))
      const messages = [new HumanMessage("Hello")]
      const stream = await graph.stream({ messages }, { ...config, streamMode: "messages" })
      for await (const [message] of stream) if (message.text !== "") break
    },
  ],
]

function oneNode(answer: (messages: BaseMessage[], config: object) => Promise<AIMessageChunk>) {
  return new StateGraph(MessagesAnnotation)
    .addNode("model", async ({ messages }, config) => ({ messages: [await answer(messages, config)] }))
    .addEdge(START, "model")
    .addEdge("model", END)
    .compile()
}

describe("a reader who walks away", () => {
  it.each(READERS)(
    "from %s cancels the provider, pays for what was made, and leaves no run open",
    async (_, read) => {
      const speech = wordByWord()
      const budget = memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 1 }] })
      await using world = await openOddWorld(speech.way)
      const counter = new RunCounter()
      const reading = read(world.router({ budget }), { callbacks: [counter] })
      await speech.say("First words")
      // LangChain's own streams are read one chunk ahead, and are left when that has come.
      const talking = setInterval(() => void speech.say(" and more"), 5)
      await Promise.all([reading, speech.closed]).finally(() => clearInterval(talking))
      await expect.poll(() => world.records.length).toBe(1)
      const [record] = world.records
      expect(record).toMatchObject({ attempts: [{ outcome: "failed", failure: "aborted" }] })
      await expect.poll(() => budget.status({})).toMatchObject([{ held: 0, spent: record?.cost }])
      expect(record?.cost).toBeGreaterThan(0)
      await expect
        .poll(() => counter.events.filter((event) => event.startsWith("chain error")))
        .not.toEqual([])
    },
  )

  it("from version-less streamEvents pays for the whole answer, as LangChain reads it to its end", async () => {
    const speech = wordByWord()
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 1 }] })
    await using world = await openOddWorld(speech.way)
    const counter = new RunCounter()
    const reading = (async () => {
      for await (const { event } of world.router({ budget }).streamEvents("Hello", { callbacks: [counter] }))
        if (event === "content-block-delta") break
    })()
    await speech.say("First words")
    await reading
    await speech.end()
    await expect.poll(() => world.records.length).toBe(1)
    const [record] = world.records
    expect(record).toMatchObject({ attempts: [{ outcome: "answered" }], error: undefined })
    await expect.poll(() => budget.status({})).toMatchObject([{ held: 0, spent: record?.cost }])
    await expect.poll(() => counter.events.at(-1)).toBe("chain end")
  })
})

describe("control flow that is not an answer", () => {
  it("interrupts a tool of an agent, and goes on where it stopped [L1.create-agent]", async () => {
    await using world = await openWorld()
    const asks = tool(async ({ city }) => `${String(interrupt(`May I ask about ${city}?`))}: 21 °C.`, weather)
    const agent = createAgent({ model: world.router, tools: [asks], checkpointer: new MemorySaver() })
    const thread = { configurable: { thread_id: "1" } }
    const stopped = await agent.invoke({ messages: [new HumanMessage(WEATHER)] }, thread)
    expect(stopped).toMatchObject({ __interrupt__: [{ value: "May I ask about Rome?" }] })
    expect(world.bodies()).toHaveLength(1)
    const done = await agent.invoke(new Command({ resume: "Yes" }), thread)
    expect(done.messages.at(-1)?.text).toContain("Yes: 21 °C")
    expect(world.bodies()).toHaveLength(2)
  })

  it("is thrown by a model as it is, and nobody else is asked [L1.langgraph]", async () => {
    await using world = await openWorld()
    const stop = new GraphInterrupt([])
    const stopping = new FakeListChatModel({ responses: ["never said"] })
    stopping._generate = () => Promise.reject(stop)
    const router = new RouterChatModel({
      tiers: ["light", "heavy"],
      deployments: [
        { tier: "light", model: stopping, price: "free" },
        { tier: "heavy", model: chatModel(world.simulator, "sim-large"), price: "free" },
      ],
    })
    expect(await router.invoke("Hello").catch((error: unknown) => error)).toBe(stop)
    expect(world.bodies()).toHaveLength(0)
  })

  it("is thrown by a validator as it is, and the answer is paid for [L1.langgraph]", async () => {
    const stop = new GraphInterrupt([])
    const validator: ResponseValidator = {
      name: "asks a person",
      validate: () => {
        throw stop
      },
    }
    await using world = await openWorld({ validator })
    expect(await world.router.invoke("Hello").catch((error: unknown) => error)).toBe(stop)
    expect(world.bodies()).toHaveLength(1)
    const [invoice] = world.simulator.invoices()
    expect(world.records[0]?.cost).toBe(invoice?.costNanoUsd)
  })

  it("lets a validator ask a person in the middle of a graph, and take the answer [L1.langgraph]", async () => {
    const validator: ResponseValidator = {
      name: "asks a person",
      validate: ({ message }) =>
        interrupt(`Is this good: ${message.text}`) === "yes"
          ? { accepted: true }
          : { accepted: false, reason: "the person said no" },
    }
    await using world = await openWorld({ validator })
    const graph = new StateGraph(MessagesAnnotation)
      .addNode("model", async ({ messages }, config) => ({
        messages: [await world.router.invoke(messages, config)],
      }))
      .addEdge(START, "model")
      .addEdge("model", END)
      .compile({ checkpointer: new MemorySaver() })
    const thread = { configurable: { thread_id: "1" } }
    const stopped = await graph.invoke({ messages: [new HumanMessage("Hello")] }, thread)
    expect(isGraphInterrupted(stopped)).toBe(true)
    const done = await graph.invoke(new Command({ resume: "yes" }), thread)
    expect(done.messages.at(-1)?.text).not.toBe("")
    expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small", "sim-small"])
  })
})

function isGraphInterrupted(state: object): boolean {
  return "__interrupt__" in state
}

describe("options of a call", () => {
  it.each([
    [0, ["light", "heavy"]],
    [1, ["light", "light", "heavy", "heavy"]],
    [2, ["light", "light", "light", "heavy", "heavy", "heavy"]],
  ])("say how often each candidate is tried again: maxRetries %i", async (maxRetries, asked) => {
    const down: Way = (response) => response.writeHead(500, { "content-type": "application/json" }).end("{}")
    await using world = await openOddWorld(down)
    await expect(world.router({ maxRetries: 5 }).invoke("Hello", { maxRetries })).rejects.toThrow(
      TierwiseError,
    )
    expect(world.bodies.map(({ model }) => model)).toEqual(asked)
  })

  it("reach the provider's body in its own words", async () => {
    await using world = await openWorld()
    const openai = { seed: 7, prediction: { type: "content", content: "Hi" } }
    await world.router.invoke("Hello", {
      stop: ["###"],
      ...openai,
      providerOptions: { options: { headers: { "x-request-id": "req-of-the-caller" } } },
    })
    expect(world.bodies()[0]).toMatchObject({ stop: ["###"], ...openai })
    expect(world.simulator.invoices()[0]?.requestId).toBe("req-of-the-caller")
  })

  it("end it after `timeout` ms with what plain models throw, and cancel the provider [L1.timeouts]", async () => {
    const speech = wordByWord()
    await using world = await openOddWorld(speech.way)
    const error: unknown = await world
      .router()
      .invoke("Hello", { timeout: 50 })
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ name: "TimeoutError" })
    expect(TierwiseError.isInstance(error)).toBe(false)
    await speech.closed
    expect(world.bodies).toHaveLength(1)
    expect(world.records[0]?.attempts).toMatchObject([{ failure: "aborted" }])
  })

  it("end a stream after `timeout` ms too [L1.timeouts]", async () => {
    const speech = wordByWord()
    await using world = await openOddWorld(speech.way)
    const read = async () => {
      let text = ""
      for await (const chunk of await world.router().stream("Hello", { timeout: 100 })) text += chunk.text
      return text
    }
    await Promise.all([expect(read()).rejects.toMatchObject({ name: "TimeoutError" }), speech.say("First")])
    await speech.closed
  })
})

describe("what a provider receives", () => {
  /** What a request may have more than a plain model's: the cap of the quote. */
  const CAPS = ["max_tokens", "max_completion_tokens"]
  const withoutCap = (body: object | undefined) =>
    Object.fromEntries(Object.entries(body ?? {}).filter(([name]) => !CAPS.includes(name)))

  const AGENTS: readonly (readonly [name: string, run: (model: BaseChatModel) => Promise<unknown>])[] = [
    [
      "createAgent without tools",
      (model) => createAgent({ model, tools: [] }).invoke({ messages: [new HumanMessage("Hello")] }),
    ],
    [
      "createAgent with context and store",
      (model) =>
        createAgent({
          model,
          tools: [weather],
          contextSchema: z.object({ user: z.string() }),
          store: new InMemoryStore(),
          checkpointer: new MemorySaver(),
        }).invoke(
          { messages: [new HumanMessage(WEATHER)] },
          { context: { user: "u-1" }, configurable: { thread_id: "t" } },
        ),
    ],
    [
      "createReactAgent",
      (model) =>
        createReactAgent({ llm: model, tools: [weather], store: new InMemoryStore() }).invoke({
          messages: [new HumanMessage(WEATHER)],
        }),
    ],
    [
      "a graph's node",
      (model) =>
        oneNode((messages, config) => model.invoke(messages, config)).invoke({
          messages: [new HumanMessage("Hello")],
        }),
    ],
  ]

  it.each(AGENTS)("from %s is what a plain model sends, and nothing of the graph's own", async (_, run) => {
    await using plain = await openWorld()
    await run(chatModel(plain.simulator, "sim-small"))
    await using routed = await openWorld()
    await run(routed.router)
    // Tool call ids differ from run to run.
    const sent = (bodies: readonly object[]) =>
      JSON.parse(JSON.stringify(bodies.map(withoutCap)).replaceAll(/"call_\w+"/g, '"call"')) as unknown
    expect(sent(routed.bodies())).toEqual(sent(plain.bodies()))
  })

  // Some packages leave an empty list out by themselves, and some send it.
  it.each(Object.keys(PROTOCOLS) as ProtocolName[])(
    "of %s is never given an empty list of tools",
    async (name) => {
      await using provider = await openProvider(name)
      const router = new RouterChatModel({
        tiers: ["only"],
        deployments: [
          { tier: "only", model: provider.model("m"), price: "free", profile: { toolCalling: true } },
        ],
      })
      const bound = router.bindTools([])
      await bound.invoke("Hello")
      for await (const _ of await bound.stream("Hello"));
      await createAgent({ model: router, tools: [] }).invoke({ messages: [new HumanMessage("Hello")] })
      expect(provider.bodies).toHaveLength(3)
      for (const body of provider.bodies) expect(body).not.toHaveProperty("tools")
    },
  )
})

/** Tags and metadata of every LLM run. */
class Labels extends BaseCallbackHandler {
  override readonly name = "labels"
  readonly tags: string[][] = []
  readonly metadata: Record<string, unknown>[] = []

  constructor() {
    super({ _awaitHandler: true })
  }

  override handleChatModelStart(...args: unknown[]): void {
    this.tags.push((args[5] as string[] | undefined) ?? [])
    this.metadata.push((args[6] as Record<string, unknown> | undefined) ?? {})
  }
}

describe("a clone", () => {
  it("adds its tags and metadata to the call's, and its original knows nothing of it [L1.with-config] [L1.tags] [L1.metadata]", async () => {
    await using world = await openWorld()
    const labels = new Labels()
    const clone = world.router
      .withConfig({ tags: ["bound"], metadata: { team: "red", shift: "day" } })
      .bindTools([weather])
    const own = { callbacks: [labels], tags: ["call"], metadata: { shift: "night" } }
    await clone.invoke(WEATHER, own)
    await world.router.invoke("Hello", own)
    expect(labels.tags[0]).toEqual(expect.arrayContaining(["bound", "call"]))
    expect(labels.metadata[0]).toMatchObject({ team: "red", shift: "night" })
    expect(labels.tags[1]).not.toContain("bound")
    expect(labels.metadata[1]).not.toHaveProperty("team")
    const [first, second] = world.bodies()
    expect(first).toHaveProperty("tools")
    expect(second).not.toHaveProperty("tools")
  })

  it("keeps tags and metadata through an agent, which binds its own [L1.tags] [L1.metadata] [L1.create-agent]", async () => {
    await using world = await openWorld()
    const labels = new Labels()
    const model = world.router.withConfig({ tags: ["bound"], metadata: { team: "red" } })
    const agent = createAgent({ model, tools: [weather] })
    const config = { callbacks: [labels], tags: ["call"], metadata: { user: "u-1" } }
    await agent.invoke({ messages: [new HumanMessage(WEATHER)] }, config)
    expect(labels.tags).toHaveLength(2)
    for (const tags of labels.tags) expect(tags).toEqual(expect.arrayContaining(["bound", "call"]))
    for (const metadata of labels.metadata) expect(metadata).toMatchObject({ team: "red", user: "u-1" })
  })

  it("inherits the callbacks of the constructor, also in an agent [L1.callbacks]", async () => {
    const counter = new RunCounter()
    await using world = await openWorld({ callbacks: [counter], tags: ["own"] })
    const agent = createAgent({ model: world.router, tools: [weather] })
    await agent.invoke({ messages: [new HumanMessage(WEATHER)] })
    const starts = counter.events.filter((event) => event.startsWith("llm "))
    expect(starts.filter((event) => event.includes("own"))).toHaveLength(2)
    const invoices = world.simulator.invoices()
    expect(counter.tokens).toBe(
      invoices.reduce((sum, { inputTokens, outputTokens }) => sum + inputTokens + outputTokens, 0),
    )
  })
})

describe("LangChain's own wrappers", () => {
  it("withRetry asks the whole router again [L1.with-retry]", async () => {
    const down: Way = (response) => response.writeHead(500, { "content-type": "application/json" }).end("{}")
    await using world = await openOddWorld(down, down, answers("There you are."))
    const retrying = world.router({ maxRetries: 0 }).withRetry({ stopAfterAttempt: 2 })
    expect((await retrying.invoke("Hello")).text).toBe("There you are.")
    expect(world.bodies.map(({ model }) => model)).toEqual(["light", "heavy", "light"])
    expect(world.records).toHaveLength(2)
  })

  it("withFallbacks goes on where the budget ends [L1.with-fallbacks]", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "total", tokens: 1 }] })
    await using world = await openWorld({ budget })
    const spare = world.router.withFallbacks([chatModel(world.simulator, "sim-echo")])
    expect((await spare.invoke("Hello")).text).toBe("Hello")
    expect(world.bodies().map(({ model }) => model)).toEqual(["sim-echo"])
    await expect(world.router.invoke("Hello")).rejects.toThrow(BudgetExceededError)
  })

  it("withFallbacks takes a router as the spare too, streamed [L1.with-fallbacks]", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-echo", status: 401 }])
    const model = chatModel(world.simulator, "sim-echo").withFallbacks([world.router])
    let text = ""
    for await (const chunk of await model.stream("Hello")) text += chunk.text
    expect(text).toBe((await world.router.invoke("Hello")).text)
  })
})

/** A light tier of Anthropic's below a heavy one of OpenAI's, and what an entry gives over any model. */
async function openTwoProviders() {
  const afar = await openProvider("anthropic")
  const world = await openWorld()
  const profile = { maxInputTokens: 32_000, toolCalling: true, structuredOutput: true }
  const price = { inputPerMTok: 1, outputPerMTok: 2 }
  const heavy = chatModel(world.simulator, "sim-large")
  const router = new RouterChatModel({
    tiers: ["light", "heavy"],
    deployments: [
      { tier: "light", model: afar.model("claude-sonnet-4-5"), price, profile },
      { tier: "heavy", model: heavy, price, profile },
    ],
    validator: {
      name: "fussy",
      validate: ({ message }) =>
        message.text.includes(POOR) ? { accepted: false, reason: "nobody is no name" } : { accepted: true },
    },
  })
  return {
    afar,
    world,
    router,
    heavy,
    [Symbol.asyncDispose]: async () => {
      await afar[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

async function driveThrough(entry: Entry, model: BaseChatModel) {
  let shown = ""
  const show = (text: string) => {
    shown += text
  }
  const result = await entry.drive(model, { callbacks: [], show })
  return { shown, result }
}

describe("tiers of different providers", () => {
  const inWords = ENTRIES.filter(({ poorAnswer }) => poorAnswer.includes(" "))
  // The tool strategy takes nothing but a call of its tool for an answer.
  const takesWords = inWords.filter(({ name }) => name !== "createAgent, tool strategy")

  it.each(takesWords)(
    "are one chat model to $name: the lighter one's words come whole and once",
    async (entry) => {
      await using two = await openTwoProviders()
      two.afar.says({ text: "From afar." })
      const { shown, result } = await driveThrough(entry, two.router)
      expect(JSON.stringify(result)).toContain("From afar.")
      expect(shown).toBe(entry.reading === "live" ? "From afar." : "")
      expect(two.world.bodies()).toHaveLength(0)
    },
  )

  it.each(inWords)("are one chat model to $name: it escalates from one to the other", async (entry) => {
    await using two = await openTwoProviders()
    two.afar.says({ text: entry.poorAnswer })
    expect(await driveThrough(entry, two.router)).toEqual(await driveThrough(entry, two.heavy))
    expect(two.afar.bodies).toHaveLength(entry.calls)
  })
})
