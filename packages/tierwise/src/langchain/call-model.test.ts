import { AsyncLocalStorage } from "node:async_hooks"
import { CallbackManager } from "@langchain/core/callbacks/manager"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, AIMessageChunk, ChatMessageChunk, HumanMessage } from "@langchain/core/messages"
import { OutputParserException } from "@langchain/core/output_parsers"
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { ConfigError } from "../spec/errors.ts"
import type { RouteRequest } from "../spec/request.ts"
import type { Answer } from "../spec/validation.ts"
import { callModel, type Invocation } from "./call-model.ts"
import { hasContent } from "./piece.ts"

const request: RouteRequest = { messages: [new HumanMessage("Hello")] }
const format = { responseFormat: { name: "x", schema: { type: "object" } } }
const said = new AIMessage("Hello!")

/** A chat model that notes how it is called. */
function noting(answer: () => unknown = () => said) {
  const noted: { options?: object; bound?: unknown; structured?: unknown } = {}
  const model = {
    getName: () => "Noting",
    invoke: async (_: unknown, options: object) => {
      noted.options = options
      return answer()
    },
    stream: async (_: unknown, options: object) => {
      noted.options = options
      return [new AIMessage("Hel"), new AIMessage("lo!")]
    },
    bindTools: (...given: readonly unknown[]) => {
      noted.bound = given
      return model
    },
    withStructuredOutput: (...given: readonly unknown[]) => {
      noted.structured = given
      return model
    },
  }
  return { model: model as unknown as BaseChatModel, noted }
}

async function call(
  model: BaseChatModel,
  more: {
    readonly request?: Partial<RouteRequest>
    readonly invocation?: Partial<Invocation>
    readonly streamed?: boolean
    readonly signal?: AbortSignal
  } = {},
): Promise<readonly Answer[]> {
  const pieces: Answer[] = []
  const { signal, streamed = false } = more
  const invocation = { callOptions: {}, config: {}, ...more.invocation }
  const given = { model, request: { ...request, ...more.request }, scopes: {}, invocation, streamed, signal }
  for await (const piece of callModel(given)) pieces.push(piece)
  return pieces
}

describe("callModel", () => {
  it.each([false, true])(
    "leaves retries to the router and hands on signal, options and config (streamed: %s)",
    async (streamed) => {
      const { model, noted } = noting()
      const { signal } = new AbortController()
      const invocation = { callOptions: { stop: ["\n"], maxRetries: 6 }, config: { tags: ["mine"] } }
      const pieces = await call(model, { invocation, streamed, signal })
      expect(noted.options).toEqual({ stop: ["\n"], tags: ["mine"], maxRetries: 0, signal })
      expect(pieces).toHaveLength(streamed ? 2 : 1)
    },
  )

  it("takes a chunk whose role the provider left out for the answer's, with its usage", async () => {
    const usage = { input_tokens: 9, output_tokens: 3, total_tokens: 12 }
    const bare = new ChatMessageChunk({ content: "Hello!", role: "", id: "c-1" })
    const { model } = noting()
    Object.assign(model, { stream: async () => [Object.assign(bare, { usage_metadata: usage })] })
    const [piece] = await call(model, { streamed: true })
    expect(AIMessageChunk.isInstance(piece?.message)).toBe(true)
    expect(piece?.message).toMatchObject({ content: "Hello!", id: "c-1", usage_metadata: usage })
  })

  it.each([false, true])(
    "does not let a model that calls others do so in the name of the router's caller (streamed: %s)",
    async (streamed) => {
      AsyncLocalStorageProviderSingleton.initializeGlobalInstance(new AsyncLocalStorage())
      const [callers, attempts] = [new CallbackManager(), new CallbackManager()]
      const seen: unknown[] = []
      const look = () => seen.push(AsyncLocalStorageProviderSingleton.getRunnableConfig()?.callbacks)
      const { model } = noting(() => {
        look()
        return said
      })
      const stream = async () => {
        look()
        return [said]
      }
      const invocation = { config: { callbacks: attempts } }
      const ask = () => call(Object.assign(model, { stream }), { streamed, invocation })
      await AsyncLocalStorageProviderSingleton.runWithConfig({ callbacks: callers }, ask)
      expect(seen).toHaveLength(1)
      expect(seen[0]).not.toBe(callers)
    },
  )

  it("binds tools with their own options, which are no options of the call", async () => {
    const { model, noted } = noting()
    const tools = [{ name: "f" }]
    await call(model, {
      request: { tools },
      invocation: { callOptions: { tool_choice: "f", strict: true } },
    })
    expect(noted.bound).toEqual([tools, { tool_choice: "f", strict: true }])
    expect(noted.options).toEqual({ maxRetries: 0 })
    await call(model, { request: { tools } })
    expect(noted.bound).toEqual([tools, {}])
  })

  it("binds no empty list of tools", async () => {
    const { model, noted } = noting()
    await call(model, { request: { tools: [] } })
    expect(noted.bound).toBeUndefined()
  })

  it("says so when a model that cannot bind tools is given some", async () => {
    const { model } = noting()
    const unable = Object.assign(model, { bindTools: undefined })
    await expect(call(unable, { request: { tools: [{ name: "f" }] } })).rejects.toMatchObject({
      constructor: ConfigError,
      problem: "Noting cannot bind tools",
    })
  })

  it("asks for a structured answer as the caller did, and for the raw message with it", async () => {
    const { model, noted } = noting(() => ({ raw: said, parsed: { n: 1 } }))
    const schema = { type: "object" }
    const invocation = { structured: { schema, config: { method: "jsonMode", includeRaw: false } } }
    expect(await call(model, { invocation })).toEqual([{ message: said, parsed: { n: 1 }, conforms: false }])
    expect(noted.structured).toEqual([schema, { method: "jsonMode", includeRaw: true }])
  })

  it("makes a structured answer that is missing one for the validators to reject", async () => {
    const { model } = noting(() => ({ raw: said, parsed: null }))
    const pieces = await call(model, { invocation: { structured: { schema: {}, config: {} } } })
    expect(pieces).toEqual([{ message: said, parseError: expect.stringContaining("schema") }])
  })

  it.each([
    ["JSON that does not parse", new SyntaxError("Unexpected end of JSON input")],
    ["LangChain's parse error", new OutputParserException("no JSON")],
    ["a schema that is broken", z.object({ n: z.int() }).safeParse({}).error],
  ])("takes %s, thrown from inside a call for a schema, for a poor answer", async (_, error) => {
    const { model } = noting(() => {
      throw error
    })
    const parseError = expect.stringContaining("does not parse")
    const poor = [{ message: expect.any(AIMessage), parseError, unseen: true }]
    expect(await call(model, { request: format })).toEqual(poor)
    expect(await call(model, { invocation: { structured: { schema: {}, config: {} } } })).toEqual(poor)
  })

  it("throws what has nothing to do with the schema, and parse errors where none was asked for", async () => {
    const down = Object.assign(new Error("down"), { status: 500 })
    const broken = noting(() => {
      throw down
    })
    await expect(call(broken.model, { request: format })).rejects.toBe(down)
    const body = new SyntaxError("Unexpected token <")
    const page = noting(() => {
      throw body
    })
    await expect(call(page.model)).rejects.toBe(body)
  })
})

describe("hasContent", () => {
  it("is true of a piece that the reader has something of", () => {
    const tool_call_chunks = [{ index: 0, name: "f", args: "", type: "tool_call_chunk" as const }]
    const tool_calls = [{ id: "1", name: "f", args: {} }]
    for (const message of [
      new AIMessageChunk("Hi"),
      new AIMessageChunk({ content: "", tool_call_chunks }),
      new AIMessage({ content: "", tool_calls }),
      new AIMessageChunk({ content: "", additional_kwargs: { refusal: "no" } }),
    ])
      expect(hasContent({ message })).toBe(true)
    expect(hasContent({ message: new AIMessage(""), parseError: "no JSON" })).toBe(true)
  })

  it("is false of the empty piece with which streams open", () => {
    expect(hasContent({ message: new AIMessageChunk("") })).toBe(false)
    expect(hasContent({ message: new AIMessage("") })).toBe(false)
    const opening = new AIMessageChunk({ content: [{ type: "text", text: "" }] })
    expect(hasContent({ message: opening })).toBe(false)
  })
})
