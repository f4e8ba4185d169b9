import type { ServerResponse } from "node:http"
import { InMemoryCache } from "@langchain/core/caches"
import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, AIMessageChunk, type BaseMessage, HumanMessage } from "@langchain/core/messages"
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs"
import { FakeStreamingChatModel } from "@langchain/core/utils/testing"
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph"
import { ChatOpenAI } from "@langchain/openai"
import { FallbackChain, lowConfidence, memoryBudget, RouterChatModel } from "tierwise"
import { describe, expect, it, vi } from "vitest"
import { z } from "zod"
import { answers, openOddWorld, streams, type Way } from "./scripted-server.ts"
import { deploymentOf, openWorld, RunCounter, replyMetadata, usageOf } from "./world.ts"

const POOR = "I'm not sure about that."

/** A stream of raw deltas, then its end as told. */
const sends =
  (deltas: readonly object[], end: "stop" | "cut", usage?: object): Way =>
  (response: ServerResponse) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    const say = (choices: readonly object[], more: object = {}) =>
      response.write(
        `data: ${JSON.stringify({ id: "c-1", object: "chat.completion.chunk", created: 1, model: "m", choices, ...more })}\n\n`,
      )
    for (const delta of deltas) say([{ index: 0, delta, finish_reason: null }])
    if (end === "cut") {
      setTimeout(() => response.destroy(), 20)
      return
    }
    say([{ index: 0, delta: {}, finish_reason: "stop" }])
    if (usage !== undefined) say([], { usage })
    response.end("data: [DONE]\n\n")
  }

const ROLE = { role: "assistant", content: "" }

class Streaming extends BaseCallbackHandler {
  override readonly name = "streaming"
  readonly lc_prefer_streaming = true
  text = ""

  constructor() {
    super({ _awaitHandler: true })
  }

  override handleLLMNewToken(token: string): void {
    this.text += token
  }
}

class Reading extends BaseCallbackHandler {
  override readonly name = "reading"
  readonly heard: string[] = []

  constructor(fields: object = { _awaitHandler: true }) {
    super(fields)
  }

  override handleChatModelStart(): void {
    this.heard.push("start")
  }

  override handleLLMNewToken(token: string): void {
    if (token !== "") this.heard.push(token)
  }

  override handleLLMEnd(output: {
    readonly generations: readonly (readonly { readonly text: string }[])[]
  }): void {
    this.heard.push(`end:${output.generations[0]?.[0]?.text ?? ""}`)
  }

  override handleLLMError(): void {
    this.heard.push("error")
  }
}

describe("equal calls beside a stream", () => {
  const read = async (stream: AsyncIterable<{ readonly text: string }>) => {
    let text = ""
    for await (const chunk of stream) text += chunk.text
    return text
  }

  it.for(["off", "full"] as const)("never wait for its reader (gate %s)", async (gate) => {
    await using world = await openWorld({ cache: new InMemoryCache(), gate })
    const both = await Promise.all([world.router.stream("Hello"), world.router.stream("Hello")])
    const [one, other] = await Promise.all(both.map(read))
    expect(one).toBe(other)
    const unread = await world.router.stream("Good morning")
    expect((await world.router.invoke("Good morning")).text).not.toBe("")
    await unread.cancel()
  })

  it("may be asked while it is being read", async () => {
    await using world = await openWorld({ cache: new InMemoryCache() })
    for await (const _ of await world.router.stream("Hello")) await world.router.invoke("Hello")
    expect(world.records.every(({ error }) => error === undefined)).toBe(true)
  })

  it("do not stand in line behind one that fails", async () => {
    let open = 0
    let most = 0
    await using world = await openOddWorld((response) => {
      most = Math.max(most, ++open)
      setTimeout(() => {
        open--
        response.writeHead(400, { "content-type": "application/json" }).end('{"error":{"message":"no"}}')
      }, 20)
    })
    const router = world.router({ cache: new InMemoryCache() })
    await Promise.allSettled(Array.from({ length: 6 }, () => router.invoke("Hello")))
    expect(most).toBe(5)
  })
})

describe("an answer that was streamed", () => {
  it.for(["off", "full"] as const)("is found while it is still being stored (gate %s)", async (gate) => {
    class Slow extends InMemoryCache {
      override async update(...args: Parameters<InMemoryCache["update"]>): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve, 100))
        return super.update(...args)
      }
    }
    await using world = await openWorld({ cache: new Slow(), gate })
    for await (const _ of await world.router.stream("Hello"));
    expect(replyMetadata(await world.router.invoke("Hello")).cached).toBe(true)
    expect(world.bodies()).toHaveLength(1)
  })
})

describe("a package that will not even ask", () => {
  it("leaves the call to the next candidate", async () => {
    await using world = await openOddWorld(answers("Hello!"))
    class Choosy extends ChatOpenAI {
      override bindTools(): never {
        throw new Error("unknown tool type")
      }
    }
    const { baseUrl: baseURL } = world
    const price = { inputPerMTok: 0.1, outputPerMTok: 0.1 }
    const profile = { maxInputTokens: 8_000, toolCalling: true }
    const choosy = new Choosy({ model: "choosy", apiKey: "none", configuration: { baseURL } })
    const plain = new ChatOpenAI({ model: "plain", apiKey: "none", configuration: { baseURL } })
    const router = new RouterChatModel({
      tiers: ["one"],
      deployments: [
        { tier: "one", model: choosy, price, profile },
        { tier: "one", model: plain, price: { inputPerMTok: 1, outputPerMTok: 1 }, profile },
      ],
    })
    const tools = [
      { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } },
    ]
    expect((await router.bindTools(tools).invoke("Hello")).text).toBe("Hello!")
    expect(world.bodies).toMatchObject([{ model: "plain" }])
  })
})

describe("a chain's stream", () => {
  it("ends the moment its reader leaves", async () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    await using world = await openOddWorld((response) => {
      response.on("close", resolve)
      streams(["One."], "silent")(response, undefined as never)
    })
    const { baseUrl: baseURL } = world
    const runnable = new ChatOpenAI({ model: "m", apiKey: "none", configuration: { baseURL } })
    const chain = new FallbackChain({ links: [{ tier: "light", runnable }] })
    for await (const { text } of await chain.stream("Hello")) if (text !== "") break
    await expect(closed).resolves.toBeUndefined()
  })
})

describe("a hit", () => {
  const call = (name: string, args: object, index: number) => ({
    id: `call_${index}`,
    type: "function",
    function: { name, arguments: JSON.stringify(args) },
  })
  const calls = (...tool_calls: readonly object[]) =>
    answers("", {
      choices: [
        { index: 0, message: { role: "assistant", content: null, tool_calls }, finish_reason: "tool_calls" },
      ],
    })

  it("gives what the first call gave, whichever tools the answer calls beside", async () => {
    await using world = await openOddWorld(
      calls(call("other", { z: 9 }, 0), call("person", { name: "Ann" }, 1)),
    )
    const schema = { type: "object", properties: { name: { type: "string" } } }
    const asked = world
      .router({ cache: new InMemoryCache() })
      .withStructuredOutput(schema, { method: "functionCalling", name: "person" })
    const [first, second] = [await asked.invoke("Who?"), await asked.invoke("Who?")]
    expect(first).toEqual({ name: "Ann" })
    expect(second).toEqual(first)
  })

  it("is not made of an answer that the first caller was refused", async () => {
    await using world = await openOddWorld(calls(call("f", { a: 1 }, 0)))
    const tools = [
      { type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } },
    ]
    const asked = world
      .router({ cache: new InMemoryCache(), cacheRules: { tools: true } })
      .bindTools(tools)
      .withStructuredOutput(z.object({ a: z.number() }))
    await expect(asked.invoke("Hello")).rejects.toThrow(/calls tools/)
    await expect(asked.invoke("Hello")).rejects.toThrow(/calls tools/)
  })

  it("is not shared with a router that would have asked or judged otherwise", async () => {
    const cache = new InMemoryCache()
    await using world = await openOddWorld(answers("Hello!"))
    await world.router({ cache }).invoke("Hello")
    await world.router({ cache, validator: lowConfidence() }).invoke("Hello")
    await world.router({ cache, maxOutputTokens: 50 }).invoke("Hello")
    await world.router({ cache, thresholds: [0.9] }).invoke("Hello")
    await world.router({ cache }, { modelKwargs: { reasoning_effort: "high" } }).invoke("Hello")
    expect(world.bodies).toHaveLength(5)
    await world.router({ cache }).invoke("Hello")
    expect(world.bodies).toHaveLength(5)
  })
})

describe("an answer that opens with an empty chunk", () => {
  it("is not shown by it: what breaks off there falls back, for handlers that stream too", async () => {
    await using world = await openOddWorld(
      sends([ROLE], "cut"),
      sends([{ role: "assistant", content: "Fine." }], "stop"),
    )
    const shown = new Streaming()
    expect((await world.router().invoke("Hello", { callbacks: [shown] })).text).toBe("Fine.")
    expect(shown.text).toBe("Fine.")
  })

  it("is not shown by it: an empty answer escalates", async () => {
    await using world = await openOddWorld(
      sends([ROLE], "stop"),
      sends([{ role: "assistant", content: "Fine." }], "stop"),
    )
    const callbacks = [new Streaming()]
    expect((await world.router({ gate: "off" }).invoke("Hello", { callbacks })).text).toBe("Fine.")
  })
})

describe("a token reader", () => {
  it("is told the end of a discarded run before the words of the accepted one, and none of its own", async () => {
    await using world = await openOddWorld(streams([POOR]), streams(["Fine", "."]))
    const reader = new Reading()
    const stream = await world.router({ validator: lowConfidence() }).stream("Hello", { callbacks: [reader] })
    for await (const _ of stream);
    expect(reader.heard).toEqual(["start", "start", "end:", "Fine", ".", "end:Fine."])
  })

  it("is told of every run that it ended, also one that ended with nothing to say", async () => {
    await using world = await openOddWorld(streams([]), streams(["Fine."]))
    const reader = new Reading()
    const stream = await world.router({ validator: lowConfidence() }).stream("Hello", { callbacks: [reader] })
    for await (const _ of stream);
    const count = (what: RegExp) => reader.heard.filter((one) => what.test(one)).length
    expect(count(/^start/)).toBe(2)
    expect(count(/^(?:end|error)/)).toBe(2)
  })

  it("in the background is not waited for", async () => {
    await using world = await openOddWorld(streams(Array.from({ length: 40 }, () => "word ")))
    let heard = 0
    const slow = {
      handleLLMNewToken: async () => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        heard++
      },
    }
    const stream = await world.router({ validator: lowConfidence() }).stream("Hello", { callbacks: [slow] })
    for await (const _ of stream);
    expect(heard).toBeLessThan(40)
  })
})

describe("a provider that leaves out the role", () => {
  const usage = { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 }

  it("is billed by what it reports", async () => {
    await using world = await openOddWorld(sends([{ content: "Fi" }, { content: "ne." }], "stop", usage))
    let whole: AIMessageChunk | undefined
    for await (const chunk of await world.router().stream("Hello")) whole = whole?.concat(chunk) ?? chunk
    expect(whole).toMatchObject({ text: "Fine." })
    expect(usageOf(whole as object)).toMatchObject({ input_tokens: 10, output_tokens: 2 })
    expect(world.records[0]?.attempts).toMatchObject([{ usage: { outputTokens: 2, estimated: false } }])
  })
})

describe("a router among the deployments of another", () => {
  it("hides and shows without a warning, gate behind gate", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {})
    await using inner = await openWorld({ gate: "full", validator: lowConfidence() })
    const profile = { maxInputTokens: 8_000 }
    const outer = new RouterChatModel({
      tiers: ["one", "two"],
      deployments: ["one", "two"].map((tier) => ({
        id: tier,
        tier,
        model: inner.router,
        price: "free" as const,
        profile,
      })),
      gate: "full",
    })
    const reader = new Reading()
    for await (const _ of await outer.stream("Hello", { callbacks: [reader] }));
    expect(reader.heard.at(-1)).toMatch(/^end:./)
    expect(warned).not.toHaveBeenCalled()
    warned.mockRestore()
  })

  it("keeps its story to itself, retries, and holds money for the same payer", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    await using inner = await openWorld({ budget, maxFallbackAttempts: 0 })
    inner.simulator.script([{ status: 503 }])
    const profile = { maxInputTokens: 8_000 }
    const outer = new RouterChatModel({
      tiers: ["one"],
      deployments: [{ tier: "one", model: inner.router, price: "free", profile }],
      maxRetries: 0,
    })
    let whole: AIMessageChunk | undefined
    for await (const chunk of await outer.stream("Hello", {
      scopes: { tenant: "acme" },
      maxOutputTokens: 50,
    }))
      whole = whole?.concat(chunk) ?? chunk
    expect(inner.bodies().at(-1)).toMatchObject({ max_tokens: 50 })
    expect(replyMetadata(whole as AIMessageChunk)).toMatchObject({ v: 1, tier: "one" })
    expect((await budget.status({ tenant: "acme" }))[0]?.spent).toBeGreaterThan(0)
  })
})

/** A chat model that asks another one without handing on its config. */
class Careless extends FakeStreamingChatModel {
  private readonly inner: BaseChatModel

  constructor(inner: BaseChatModel) {
    super({})
    this.inner = inner
  }

  override async _generate(messages: BaseMessage[]): Promise<ChatResult> {
    const message = new AIMessage((await this.inner.invoke(messages)).text)
    return { generations: [{ text: message.text, message }] }
  }

  override async *_streamResponseChunks(messages: BaseMessage[]): AsyncGenerator<ChatGenerationChunk> {
    for await (const { text } of await this.inner.stream(messages))
      yield new ChatGenerationChunk({ text, message: new AIMessageChunk(text) })
  }
}

describe("a model that asks another one in its own way", () => {
  it("does not leak what is hidden", async () => {
    await using world = await openWorld()
    world.simulator.script([{ answer: POOR }, { answer: "Fine." }])
    const chat = (model: string) =>
      new ChatOpenAI({ model, apiKey: "none", configuration: { baseURL: world.simulator.baseUrl } })
    const careless = new Careless(chat("sim-small"))
    const router = new RouterChatModel({
      tiers: ["light", "heavy"],
      deployments: [
        { tier: "light", model: careless, price: "free", profile: { maxInputTokens: 8_000 } },
        deploymentOf(world.simulator, "heavy", "sim-large"),
      ],
      validator: lowConfidence(),
    })
    const graph = new StateGraph(MessagesAnnotation)
      .addNode("ask", async ({ messages }, config) => ({ messages: [await router.invoke(messages, config)] }))
      .addEdge(START, "ask")
      .addEdge("ask", END)
      .compile()
    let shown = ""
    const input = { messages: [new HumanMessage("Hello")] }
    for await (const [message] of await graph.stream(input, { streamMode: "messages" })) shown += message.text
    expect(shown).toBe("Fine.")
  })

  it("asks it in the attempt's name: its run is counted", async () => {
    await using world = await openWorld()
    const careless = new Careless(
      new ChatOpenAI({
        model: "sim-small",
        apiKey: "none",
        configuration: { baseURL: world.simulator.baseUrl },
      }),
    )
    const router = new RouterChatModel({
      tiers: ["light"],
      deployments: [{ tier: "light", model: careless, price: "free", profile: { maxInputTokens: 8_000 } }],
    })
    const counter = new RunCounter()
    await router.invoke("Hello", { callbacks: [counter] })
    expect(counter.events.filter((event) => event === "llm end")).toHaveLength(2)
    expect(counter.tokens).toBeGreaterThan(0)
  })
})

describe("the router's run", () => {
  it("is closed once, also when a handler that is heard throws at its end", async () => {
    await using world = await openWorld()
    const counter = new RunCounter()
    class Throwing extends BaseCallbackHandler {
      override readonly name = "throwing"
      override handleChainEnd(): void {
        throw new Error("no end")
      }
    }
    const throwing = new Throwing({ raiseError: true })
    await expect(world.router.invoke("Hello", { callbacks: [counter, throwing] })).rejects.toThrow("no end")
    expect(counter.events.filter((event) => event.startsWith("chain e"))).toHaveLength(1)
  })

  it("and the model's are closed when the reader leaves in the middle", async () => {
    await using world = await openWorld()
    const reader = new Reading()
    for await (const { text } of await world.router.stream("Tell me a story.", { callbacks: [reader] }))
      if (text !== "") break
    await expect.poll(() => reader.heard.at(-1)).toBe("error")
  })
})
