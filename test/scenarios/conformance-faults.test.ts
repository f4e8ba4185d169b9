import type { BaseCache } from "@langchain/core/caches"
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, AIMessageChunk, HumanMessage } from "@langchain/core/messages"
import { RunnableLambda } from "@langchain/core/runnables"
import { type Simulator, startSimulator } from "@tierwise/simulator"
import { FallbackChain } from "tierwise"
import { type ChatModelUnderTest, ContractBroken, chatModelContract } from "tierwise/testing"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { chatModel, usageOf } from "./world.ts"

let simulator: Simulator

beforeAll(async () => {
  simulator = await startSimulator({ timeScale: 0 })
})
afterAll(async () => simulator.close())

type Options = Record<string, unknown> | undefined
type Patch = Partial<Record<keyof BaseChatModel, unknown>> & Record<string, unknown>

/** A good model; what is planted in it stays in its copies. */
const good = (cache?: BaseCache) => {
  const model = chatModel(simulator, "sim-small")
  const runnable = cache === undefined ? model : Object.assign(model, { cache })
  return new FallbackChain({ links: [{ tier: "light", runnable }] })
}
const planted = (patch: Patch) => (): BaseChatModel => Object.assign(good(), patch) as BaseChatModel

const proto = () => Object.getPrototypeOf(good()) as BaseChatModel
const ask = (model: BaseChatModel, input: BaseLanguageModelInput, options?: Options) =>
  proto().invoke.call(model, input, options) as Promise<AIMessage>
const flow = (model: BaseChatModel, input: BaseLanguageModelInput, options?: Options) =>
  proto()._streamIterator.call(model, input, options)

/** A model whose answers and chunks go through these. */
function altered(
  answer: (message: AIMessage) => AIMessage,
  chunk: (message: AIMessageChunk, index: number) => readonly AIMessageChunk[],
): Patch {
  return {
    async invoke(this: BaseChatModel, input: string, options: Options) {
      return answer(await ask(this, input, options))
    },
    async *_streamIterator(this: BaseChatModel, input: string, options: Options) {
      let index = 0
      for await (const piece of flow(this, input, options)) yield* chunk(piece, index++)
    },
  }
}

/** A model that is asked with other options than it was given. */
function told(change: (options: NonNullable<Options>) => NonNullable<Options>): Patch {
  return {
    async invoke(this: BaseChatModel, input: string, options: Options = {}) {
      return ask(this, input, change(options))
    },
    async stream(this: BaseChatModel, input: string, options: Options = {}) {
      return proto().stream.call(this, input, change(options))
    },
  }
}

const without =
  (...names: readonly string[]) =>
  (options: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name)))

const same = (message: AIMessage) => message
const alone = (message: AIMessageChunk) => [message]
const withFields = <M extends object>(message: M, fields: object): M => Object.assign(message, fields)

const ELSE = { type: "text", text: "else" }

interface Fault {
  readonly under: (make: () => BaseChatModel) => Omit<ChatModelUnderTest, "make">
  readonly make: () => BaseChatModel
  /** Cases that must see it. */
  readonly red: readonly string[]
}

const plain = (): Omit<ChatModelUnderTest, "make"> => ({ cached: good })
const fault = (make: () => BaseChatModel, ...red: readonly string[]): Fault => ({ under: plain, make, red })

let shared: AIMessage | undefined
const FAULTS: Readonly<Record<string, Fault>> = {
  "fails at every call": fault(
    planted({
      invoke: async () => {
        throw new Error("down")
      },
      _streamIterator: async function* () {
        yield* []
        throw new Error("down")
      },
    }),
    "answers with an AIMessage that says something and has an id",
    "goes on with a conversation",
    "stands in a pipe, and streams through it",
    "streams content-block events without a version, and is awaited for the message",
  ),
  "drops the tool calls of a stream": fault(
    planted(
      altered(same, (chunk) => {
        const words = new AIMessageChunk({ content: chunk.content })
        return [withFields(words, { id: chunk.id, usage_metadata: usageOf(chunk) })]
      }),
    ),
    "streams a tool call with its arguments",
    "answers from a tool's result when both turns are streamed",
    "calls several tools at once, answered and streamed",
  ),
  "tells its usage twice": fault(
    planted(
      altered(same, (chunk) => {
        const usage_metadata = usageOf(chunk)
        const again = { content: "", usage_metadata } as object as { content: string }
        return usage_metadata === undefined ? [chunk] : [chunk, new AIMessageChunk(again)]
      }),
    ),
    "reports the tokens of a stream once",
  ),
  "tells no usage and no model": fault(
    planted(
      altered(
        (message) => withFields(message, { usage_metadata: undefined, response_metadata: {} }),
        (chunk) => [withFields(chunk, { usage_metadata: undefined, response_metadata: {} })],
      ),
    ),
    "reports the tokens it used",
    "says which model answered",
  ),
  "binds to itself": fault(
    planted({
      withConfig(this: { defaultOptions: object }, config: object) {
        this.defaultOptions = { ...this.defaultOptions, ...config }
        return this
      },
    }),
    "offers tools to the model they are bound to, and to no other",
    "binds a configuration to a copy of itself",
  ),
  "gives every caller the same message": fault(
    planted({
      async invoke(this: BaseChatModel, input: string, options: Options) {
        shared ??= await ask(this, input, options)
        return shared
      },
    }),
    "gives each caller a message of its own",
    "answers a batch, each question in its place",
  ),
  "asks for a schema on itself": fault(
    planted({
      withStructuredOutput(this: { defaultOptions: object }) {
        this.defaultOptions = { response_format: { type: "json_object" } }
        return RunnableLambda.from(() => ({ name: "Ada", age: 36 }))
      },
    }),
    "asks for a schema on a copy of itself",
    "answers under a nested schema with enums and lists",
    "brings the message along under a zod schema, if asked",
  ),
  "takes no notice of a signal": fault(
    planted(told(without("signal"))),
    "asks nobody for a call that is aborted already",
    "ends a call that is aborted on its way",
    "ends a stream that is aborted on its way, and tells so",
  ),
  "writes on what it is given": fault(
    planted({
      async invoke(this: BaseChatModel, input: unknown, options: Options) {
        if (Array.isArray(input)) input.push(new HumanMessage("Please."))
        return ask(this, input as string, options)
      },
    }),
    "leaves what it is given as it was",
  ),
  "gives a binding when it is configured": fault(
    planted({
      withConfig(this: BaseChatModel, config: object) {
        return RunnableLambda.prototype.withConfig.call(this as never, config)
      },
    }),
    "stays a chat model when it is configured",
    "answers under a schema although tools were bound before",
  ),
  "loses what was bound when a call has its own": fault(
    planted({
      async invoke(this: { defaultOptions: object } & BaseChatModel, input: string, options: Options) {
        const bare = Object.assign(good(), { defaultOptions: {} })
        return ask(bare, input, { ...this.defaultOptions, ...options })
      },
    }),
    "adds a call's tags and metadata to those that were bound",
  ),
  "hears no stop, no choice of tools and no version": fault(
    planted({
      ...told(without("stop", "outputVersion")),
      withConfig(this: BaseChatModel, config: Record<string, unknown>) {
        return proto().withConfig.call(this, without("stop", "tool_choice")(config))
      },
    }),
    "stops where it is told to",
    "calls the tool it is told to call",
    "calls no tool when it is told not to",
    "stores content blocks as its content where they are asked for",
  ),
  "calls no tool": fault(
    planted({
      bindTools(this: BaseChatModel) {
        return this
      },
    }),
    "calls some tool when it is told to call any",
    "calls a tool that is given as a LangChain tool",
    "calls a tool that is given as OpenAI's format",
    "calls a tool that is given as a Runnable made a tool",
    "calls a tool that is given as a name, a description and a schema",
    "takes finished tool calls as examples before the question",
    "shows its tool calls in the stream of events",
    "stays a model when tools are bound: it can be configured and streamed",
  ),
  "calls tools over and over": fault(
    planted(
      altered((message) => {
        const call = { name: "get_weather", args: { city: "Rome" }, id: "call_1", type: "tool_call" }
        return withFields(message, { tool_calls: [call], content: "" })
      }, alone),
    ),
    "answers from a tool's result",
    "answers as before where the list of tools is empty",
  ),
  "takes no tool messages": fault(
    planted({
      async invoke(this: BaseChatModel, input: unknown, options: Options) {
        if (JSON.stringify(input).includes("ToolMessage")) throw new Error("what is a tool?")
        return ask(this, input as string, options)
      },
    }),
    "takes a history with a tool call, also one in another provider's form",
    "takes a tool's result in content blocks",
  ),
  "streams its whole message, which is no chunk": fault(
    planted({
      async *_streamIterator(this: BaseChatModel, input: string, options: Options) {
        yield await ask(this, input, options)
      },
    }),
    "streams chunks, under one id, that together say something",
  ),
  "gives each chunk an id": fault(
    planted(altered(same, (chunk, index) => [withFields(chunk, { id: `run-${index}` })])),
    "streams chunks, under one id, that together say something",
    "streams under one id while it is traced",
  ),
  "loses the first word of a stream, and has other blocks than content": fault(
    planted(
      altered(
        (message) => Object.defineProperty(message, "contentBlocks", { value: [ELSE] }),
        (chunk, index) => (index < 2 ? [] : [chunk]),
      ),
    ),
    "streams what it would have answered: the same shape",
    "reads content blocks, and gives its answer as content blocks",
  ),
  "tells no handler": fault(
    planted(told(without("callbacks", "runId", "runName"))),
    "tells a handler of each start, token and end, with the call's tags and metadata",
    "runs under the id and the name that the call gives it",
    "shows in streamEvents v2 each word once, and then the whole",
  ),
  "hangs up for good when a reader walks away": fault(
    planted({
      async *_streamIterator(this: BaseChatModel, input: string, options: Options) {
        try {
          yield* flow(this, input, options)
        } finally {
          Object.assign(this, { invoke: async () => new AIMessage("") })
        }
      },
    }),
    "lets a reader walk away, and answers the next call",
  ),
  "takes plain text alone, once, and one at a time": fault(
    planted({
      async invoke(this: BaseChatModel, input: unknown, options: Options) {
        if (typeof input !== "string") throw new TypeError("text, please")
        return ask(this, input, options)
      },
      batch: async () => [],
      generate: async () => ({ generations: [] }),
      withRetry: () => undefined,
    }),
    "takes a question in every form LangChain has for it",
    "takes several messages of one role in a row",
    "answers what it can of a batch, where errors are asked for as values",
    "generates for each conversation",
    "can be retried and fallen back from",
    "looks at a picture",
    "answers direct calls of what LangChain calls: _generate and _streamResponseChunks",
  ),
  "looks like something else": fault(
    planted({
      bound: {},
      toJSON: () => ({ toJSON: undefined }),
      getLsParams: () => ({ ls_provider: "x" }),
      _identifyingParams: () => undefined,
      getNumTokens: async () => (await fetch(`${simulator.baseUrl}/models`)).status,
    }),
    "looks like a chat model to LangChain and to LangGraph, and like nothing else",
    "names itself to tracers: getLsParams has exactly their six keys",
    "can be written down",
    "counts tokens by itself, without a request",
  ),
  "boasts with functions in its profile": fault(
    () => Object.defineProperty(good(), "profile", { value: { toolCalling: () => true } }),
    "has a profile of plain values",
  ),
  "knows no schema": fault(
    planted({ withStructuredOutput: () => RunnableLambda.from(() => '{"name":"Ada"}') }),
    "answers under a zod schema",
    "answers under a zod 3 schema",
    "answers under JSON Schema",
    "brings the message along under a zod 3 schema, if asked",
    "brings the message along under JSON Schema, if asked",
    "streams towards the whole answer under a zod schema",
    "streams towards the whole answer under a zod 3 schema",
    "streams towards the whole answer under JSON Schema",
    "answers a batch under a schema",
  ),
  "has no cache": {
    make: () => good(),
    under: () => ({ cached: () => good() }),
    red: ["answers the same question from its cache"],
  },
  "hands out what lies in its cache": {
    make: () => good(),
    under: () => ({
      cached: (cache) => {
        const model = chatModel(simulator, "sim-small")
        return Object.assign(model, { cache })
      },
    }),
    red: ["leaves an answer alone when the same is asked again"],
  },
}

const redCases = new Set<string>()

describe("the chat-model contract", () => {
  it.each(Object.entries(FAULTS))("sees a model that %s", async (_, { make, under, red }) => {
    const seen = await redOf({ ...under(make), make, supports: { deterministic: true, images: true } })
    expect([...seen.keys()]).toEqual(expect.arrayContaining([...red]))
    for (const name of seen.keys()) redCases.add(name)
  })

  it("has no case that cannot fail", async () => {
    const names = chatModelContract({ make: good, cached: good, supports: { images: true } }).map(
      ({ name }) => name,
    )
    expect(names.filter((name) => !redCases.has(name))).toEqual([])
    expect(new Set(names).size).toBe(names.length)
  })

  it("says in words what is wrong", async () => {
    const fault = FAULTS["tells its usage twice"] as Fault
    const seen = await redOf({ make: fault.make, supports: { deterministic: true } })
    const error = seen.get("reports the tokens of a stream once")
    expect(error).toBeInstanceOf(ContractBroken)
    expect((error as Error).message).toMatch(/^the same question took \d+ input tokens, and \d+ streamed$/)
  })

  it("asks nothing of a model that it cannot do", async () => {
    const make = planted({ bindTools: undefined, withStructuredOutput: undefined })
    const supports = {
      tools: false,
      structuredOutput: false,
      stop: false,
      usage: false,
      localTokenCount: false,
    }
    expect([...(await redOf({ make, supports })).entries()]).toEqual([])
    const { tools: _, ...more } = supports
    expect((await redOf({ make, supports: more })).size).toBeGreaterThan(10)
  })
})

async function redOf(under: ChatModelUnderTest): Promise<ReadonlyMap<string, unknown>> {
  const red = new Map<string, unknown>()
  for (const { name, run } of chatModelContract(under)) {
    await run().catch((error: unknown) => red.set(name, error))
  }
  return red
}
