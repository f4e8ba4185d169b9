import {
  AIMessage,
  type AIMessageChunk,
  type BaseMessage,
  HumanMessage,
  mapChatMessagesToStoredMessages,
  mapStoredMessagesToChatMessages,
  type StoredMessage,
  SystemMessage,
  ToolMessage,
} from "@langchain/core/messages"
import { concat } from "@langchain/core/utils/stream"
import { MemorySaver, MessagesAnnotation, StateGraph } from "@langchain/langgraph"
import { type DeploymentOptions, RouterChatModel, type RouterChatModelFields } from "tierwise"
import { describe, expect, it } from "vitest"
import {
  type Body,
  type Call,
  openProvider,
  PROTOCOLS,
  type ProtocolName,
  type Provider,
  type Said,
  type Turn,
} from "./protocols.ts"

const NAMES = Object.keys(PROTOCOLS) as readonly ProtocolName[]

const weatherIn = (city: string): Call => ({ name: "weather", args: { city } })

/** What the first model says, each with its own sort of baggage. */
const TURNS: Readonly<Record<string, Turn>> = {
  "a plain turn": { text: "Paris, as ever.", cited: "https://example.org/paris" },
  "a tool call": { text: "Let me look.", calls: [weatherIn("Paris")] },
  "a thinking turn": { thinking: "The user wants Paris.", text: "Paris it is." },
  "a thinking tool call": { thinking: "I need a tool.", calls: [weatherIn("Paris")] },
  "parallel tool calls": { calls: [weatherIn("Paris"), weatherIn("Rome"), weatherIn("Oslo")] },
}

const QUESTION = "Where shall I go?"
const NEXT = "And then?"

const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather in a city",
    parameters: { type: "object", properties: { city: { type: "string" } } },
  },
} as const

const PAIRS = NAMES.flatMap((first) => NAMES.map((second) => ({ first, second })))

describe("a conversation that one model has begun", () => {
  describe.each(PAIRS)("$first, then another model: $second", ({ first, second }) => {
    const ways = Object.keys(TURNS).flatMap((turn) =>
      [false, true].flatMap((streamed) => (["v0", "v1"] as const).map((form) => ({ turn, streamed, form }))),
    )
    it.each(ways)("goes on after $turn (streamed: $streamed, $form)", async ({ turn, streamed, form }) => {
      await using world = await openWorld(first, second, { outputVersion: form })
      const { one, two, router } = world
      const said = TURNS[turn] as Turn
      one.says(said)
      const reply = await ask(router, [new HumanMessage(QUESTION)], "light", streamed)
      const history = [new HumanMessage(QUESTION), reply, ...resultsOf(reply), new HumanMessage(NEXT)]
      two.says({ text: "Then home." })
      const last = await ask(router, history, "heavy", streamed)
      expect(last.text).toBe("Then home.")

      const body = two.bodies.at(-1) as Body
      expect(body["model"]).toBe("two")
      expect(two.protocol.read(body)).toEqual(conversationOf(said))
      expect(secretsIn(body, one)).toEqual([])
    })
  })

  it.each(PAIRS)(
    "goes on although no router was there when it began: $first, $second",
    async ({ first, second }) => {
      await using world = await openWorld(first, second)
      const { one, two, router } = world
      const said = { thinking: "I need a tool.", calls: [weatherIn("Paris")] }
      one.says(said)
      const reply = await one.model("one").invoke([new HumanMessage(QUESTION)])
      two.says({ text: "Then home." })
      const history = [new HumanMessage(QUESTION), reply, ...resultsOf(reply), new HumanMessage(NEXT)]
      await router.invoke(history, { tier: "heavy", tools: [weather] })
      const body = two.bodies.at(-1) as Body
      expect(two.protocol.read(body)).toEqual(conversationOf(said))
      expect(secretsIn(body, one)).toEqual([])
    },
  )

  it.each(PAIRS)("goes on after it was kept as JSON: $first, $second", async ({ first, second }) => {
    await using world = await openWorld(first, second)
    const { one, two, router } = world
    const said = TURNS["parallel tool calls"] as Turn
    one.says(said)
    const reply = await ask(router, [new HumanMessage(QUESTION)], "light", true)
    const history = [new HumanMessage(QUESTION), reply, ...resultsOf(reply), new HumanMessage(NEXT)]
    const kept = JSON.stringify(mapChatMessagesToStoredMessages(history))
    const restored = mapStoredMessagesToChatMessages(JSON.parse(kept) as StoredMessage[])
    two.says({ text: "Then home." })
    await router.invoke(restored, { tier: "heavy", tools: [weather] })
    const body = two.bodies.at(-1) as Body
    expect(two.protocol.read(body)).toEqual(conversationOf(said))
    expect(secretsIn(body, one)).toEqual([])
  })

  it.each(PAIRS)("goes on from a graph's checkpoint: $first, $second", async ({ first, second }) => {
    await using world = await openWorld(first, second)
    const { one, two, router } = world
    const graph = new StateGraph(MessagesAnnotation)
      .addNode("model", async ({ messages }, config) => ({
        messages: [await router.invoke(messages, config)],
      }))
      .addEdge("__start__", "model")
      .compile({ checkpointer: new MemorySaver() })
    const thread = (tier: string) => ({ configurable: { thread_id: "1", tierwise: { tier } } })
    const said = TURNS["a thinking turn"] as Turn
    one.says(said)
    await graph.invoke({ messages: [new HumanMessage(QUESTION)] }, thread("light"))
    two.says({ text: "Then home." })
    await graph.invoke({ messages: [new HumanMessage(NEXT)] }, thread("heavy"))
    const body = two.bodies.at(-1) as Body
    expect(two.protocol.read(body)).toEqual(conversationOf(said))
    expect(secretsIn(body, one)).toEqual([])
  })
})

describe("a conversation that goes to and fro", () => {
  it.each(NAMES)(
    "gives each model its own words back, and the other's in its own form: %s",
    async (first) => {
      const second = first === "anthropic" ? "openai-responses" : "anthropic"
      await using world = await openWorld(first, second)
      const { one, two, router } = world
      const history: BaseMessage[] = [new HumanMessage(QUESTION)]
      const expected: Said[] = [{ by: "human", text: QUESTION }]
      for (const tier of ["light", "heavy", "light", "heavy"]) {
        const provider = tier === "light" ? one : two
        const said = { thinking: `Thought by ${tier}.`, text: `I am ${tier}.`, calls: [weatherIn(tier)] }
        provider.says(said)
        const reply = await ask(router, history, tier, true)
        history.push(reply, ...resultsOf(reply))
        const body = provider.bodies.at(-1) as Body
        expect(provider.protocol.read(body)).toEqual(expected)
        expected.push(...turnsOf(said))
        expect(secretsIn(body, tier === "light" ? two : one)).toEqual([])
      }
    },
  )
})

describe("a conversation that stays with its model", () => {
  const ways = NAMES.flatMap((name) =>
    Object.keys(TURNS).flatMap((turn) => [false, true].map((streamed) => ({ name, turn, streamed }))),
  )
  it.each(ways)(
    "is sent as the package alone sends it: $name after $turn (streamed: $streamed)",
    async (way) => {
      await using world = await openWorld(way.name, "ollama")
      const { one, router } = world
      one.says(TURNS[way.turn] as Turn)
      const reply = await ask(router, [new HumanMessage(QUESTION)], "light", way.streamed)
      const history = [new HumanMessage(QUESTION), reply, ...resultsOf(reply), new HumanMessage(NEXT)]
      await router.invoke(history, { tier: "light" })
      const routed = one.bodies.at(-1) as Body
      await one.model("one").invoke(history)
      const alone = one.bodies.at(-1) as Body
      expect([routed["messages"], routed["input"]]).toEqual([alone["messages"], alone["input"]])
    },
  )

  it.each(ways)(
    "keeps its words in standard blocks: $name after $turn (streamed: $streamed)",
    async (way) => {
      await using world = await openWorld(way.name, "ollama", { outputVersion: "v1" })
      const { one, router } = world
      const said = TURNS[way.turn] as Turn
      one.says(said)
      const reply = await ask(router, [new HumanMessage(QUESTION)], "light", way.streamed)
      const history = [new HumanMessage(QUESTION), reply, ...resultsOf(reply), new HumanMessage(NEXT)]
      await ask(router, history, "light", way.streamed)
      expect(one.protocol.read(one.bodies.at(-1) as Body)).toEqual(conversationOf(said))
    },
  )

  const PRIVATE = [
    { name: "anthropic", what: "thinking with its signature", secrets: ["EqQB", "EmwK"] },
    {
      name: "openai-responses",
      what: "reasoning with its id and what is encrypted in it",
      secrets: ["rs_", "gAAAA", "fc_"],
    },
  ] as const
  const forms = PRIVATE.flatMap((one) =>
    [false, true].flatMap((streamed) => (["v0", "v1"] as const).map((form) => ({ ...one, streamed, form }))),
  )
  it.each(forms)(
    "gets back $what (streamed: $streamed, $form)",
    async ({ name, secrets, streamed, form }) => {
      await using world = await openWorld(name, "ollama", { outputVersion: form })
      const { one, router } = world
      one.says(TURNS["a thinking tool call"] as Turn)
      const reply = await ask(router, [new HumanMessage(QUESTION)], "light", streamed)
      await ask(router, [new HumanMessage(QUESTION), reply, ...resultsOf(reply)], "light", streamed)
      const sent = secretsIn(one.bodies.at(-1) as Body, one)
      expect(sent.map((secret) => secret.replace(/\d+$/, ""))).toEqual(secrets)
    },
  )
})

describe("ids of tool calls", () => {
  const ODD_IDS = {
    "Kimi's": ["functions.weather:0", "functions.weather:1"],
    "ids that differ in refused characters alone": ["weather:0", "weather.0"],
    "vLLM's, which are long": [`chatcmpl-tool-${"a".repeat(31)}1`, `chatcmpl-tool-${"a".repeat(31)}2`],
  }
  const ways = NAMES.flatMap((second) => Object.keys(ODD_IDS).map((odd) => ({ second, odd })))
  it.each(ways)(
    "that $second would refuse are replaced in call and result: $odd",
    async ({ second, odd }) => {
      await using world = await openWorld("openai-chat", second)
      const { one, two, router } = world
      const [a, b] = ODD_IDS[odd as keyof typeof ODD_IDS] as [string, string]
      const said = {
        calls: [
          { id: a, ...weatherIn("Paris") },
          { id: b, ...weatherIn("Rome") },
        ],
      }
      one.says(said)
      const reply = await ask(router, [new HumanMessage(QUESTION)], "light", false)
      const history = [new HumanMessage(QUESTION), reply, ...resultsOf(reply), new HumanMessage(NEXT)]
      await ask(router, history, "heavy", false)
      const plain = { calls: [weatherIn("Paris"), weatherIn("Rome")] }
      expect(two.protocol.read(two.bodies.at(-1) as Body)).toEqual(conversationOf(plain))
    },
  )
})

describe("what people and tools have written", () => {
  const PIXEL = "iVBORw0KGgo="
  const IMAGES = {
    "Anthropic's form": { type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } },
    "LangChain's form": { type: "image", data: PIXEL, mimeType: "image/png" },
    "LangChain's earlier form": { type: "image", source_type: "base64", data: PIXEL, mime_type: "image/png" },
    "OpenAI's form": { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } },
  }
  const ways = NAMES.flatMap((name) => Object.keys(IMAGES).map((form) => ({ name, form })))
  it.each(ways)("an image reaches $name from $form", async ({ name, form }) => {
    await using world = await openWorld("ollama", name)
    const image = IMAGES[form as keyof typeof IMAGES]
    const content = [{ type: "text", text: QUESTION, cache_control: { type: "ephemeral" } }, image]
    const system = new SystemMessage({
      content: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
    })
    await world.router.invoke([system, new HumanMessage({ content: content as never })], { tier: "heavy" })
    const body = JSON.stringify(world.two.bodies.at(-1))
    expect(body).toContain(PIXEL)
    expect(body.includes("cache_control")).toBe(name === "anthropic")
  })

  it.each(NAMES)("a tool's result in blocks reaches %s", async (name) => {
    await using world = await openWorld("ollama", name)
    const call = { type: "tool_call" as const, id: "call_1", ...weatherIn("Paris") }
    const found = { type: "text", text: "Paris: sunny" }
    const history = [
      new HumanMessage(QUESTION),
      new AIMessage({ content: "", tool_calls: [call] }),
      new ToolMessage({ content: [found, IMAGES["LangChain's form"]] as never, tool_call_id: "call_1" }),
    ]
    await world.router.invoke(history, { tier: "heavy", tools: [weather] })
    const body = JSON.stringify(world.two.bodies.at(-1))
    expect(body).toContain("Paris: sunny")
    expect(body.includes(PIXEL)).toBe(name === "anthropic" || name === "openai-responses")
  })
})

interface World {
  readonly one: Provider
  readonly two: Provider
  readonly router: RouterChatModel
  [Symbol.asyncDispose](): Promise<void>
}

/** Two models of two providers, or of one, which knows them apart. */
async function openWorld(
  first: ProtocolName,
  second: ProtocolName,
  options: Partial<RouterChatModelFields> = {},
): Promise<World> {
  const one = await openProvider(first)
  const two = first === second ? one : await openProvider(second)
  const profile = {
    maxInputTokens: 32_000,
    toolCalling: true,
    imageInputs: true,
  }
  const deployments: readonly DeploymentOptions[] = [
    { tier: "light", model: one.model("one"), price: "free", profile },
    { tier: "heavy", model: two.model("two"), price: "free", profile },
  ]
  return {
    one,
    two,
    router: new RouterChatModel({ tiers: ["light", "heavy"], deployments, ...options }),
    [Symbol.asyncDispose]: async () => {
      await one[Symbol.asyncDispose]()
      if (two !== one) await two[Symbol.asyncDispose]()
    },
  }
}

async function ask(
  router: RouterChatModel,
  messages: readonly BaseMessage[],
  tier: string,
  streamed: boolean,
): Promise<AIMessageChunk> {
  const options = { tier, tools: [weather] }
  if (!streamed) return router.invoke([...messages], options)
  let whole: AIMessageChunk | undefined
  for await (const chunk of await router.stream([...messages], options))
    whole = whole === undefined ? chunk : concat(whole, chunk)
  return whole as AIMessageChunk
}

/** What a program would send back for the calls of a reply. */
function resultsOf({ tool_calls }: AIMessageChunk): readonly ToolMessage[] {
  return (tool_calls ?? []).map(
    ({ id, name, args }) =>
      new ToolMessage({ content: `${String(args["city"])}: sunny`, tool_call_id: id ?? "", name }),
  )
}

/** A reply and the results of its calls, as any provider is to receive them. */
function turnsOf({ text = "", calls = [] }: Turn): readonly Said[] {
  return [
    { by: "ai", text, calls },
    ...calls.map((call): Said => ({ by: "tool", text: `${String(call.args["city"])}: sunny`, of: call })),
  ]
}

function conversationOf(said: Turn): readonly Said[] {
  return [{ by: "human", text: QUESTION }, ...turnsOf(said), { by: "human", text: NEXT }]
}

/** What a provider has given out for its own model and now stands in a body. */
function secretsIn(body: Body, provider: Provider): readonly string[] {
  const sent = JSON.stringify(body)
  return provider.issued.all().filter((secret) => sent.includes(secret))
}
