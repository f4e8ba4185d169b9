import { setImmediate as turn } from "node:timers/promises"
import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import { CallbackManager } from "@langchain/core/callbacks/manager"
import type { Serialized } from "@langchain/core/load/serializable"
import { AIMessage, AIMessageChunk, HumanMessage } from "@langchain/core/messages"
import { ChatGenerationChunk, type LLMResult } from "@langchain/core/outputs"
import { FakeTracer } from "@langchain/core/utils/testing"
import { describe, expect, it, vi } from "vitest"
import { audienceOf, curtain, whenShown } from "./curtain.ts"

const SERIALIZED: Serialized = { lc: 1, type: "not_implemented", id: ["model"] }

/** Writes down what it hears, and keeps it in a private field, as users' handlers may. */
class Reader extends BaseCallbackHandler {
  override readonly name: string = "reader"
  readonly #heard: string[] = []

  constructor(fields: object = { _awaitHandler: true }) {
    super(fields)
  }

  heard() {
    return this.#heard
  }

  override handleChatModelStart(): void {
    this.#heard.push("start")
  }

  override handleLLMNewToken(token: string): void {
    this.#heard.push(token)
  }

  override handleLLMEnd(): void {
    this.#heard.push("end")
  }

  override handleLLMError(): void {
    this.#heard.push("error")
  }
}

class StreamingReader extends Reader {
  override readonly name = "streaming-reader"
  readonly lc_prefer_streaming = true
}

function managerOf(...handlers: readonly BaseCallbackHandler[]): CallbackManager {
  const manager = new CallbackManager()
  for (const handler of handlers) manager.addHandler(handler, true)
  return manager
}

async function answer(callbacks: CallbackManager, ...tokens: readonly string[]) {
  const [run] = await callbacks.handleChatModelStart(SERIALIZED, [[new HumanMessage("Hello")]])
  for (const token of tokens) await run?.handleLLMNewToken(token)
  await run?.handleLLMEnd({ generations: [] })
}

describe("audienceOf", () => {
  it("is whoever shows words, and not whoever only traces or counts", () => {
    const [reader, streaming] = [new Reader(), new StreamingReader()]
    const counter = BaseCallbackHandler.fromMethods({ handleLLMEnd: () => {} })
    const audience = audienceOf(managerOf(reader, streaming, counter, new FakeTracer()))
    expect([...(audience?.streaming ?? [])]).toEqual([streaming])
    expect([...(audience?.tokenReaders ?? [])]).toEqual([reader])
    expect(audienceOf(managerOf(counter, new FakeTracer()))).toBeUndefined()
    expect(audienceOf(undefined)).toBeUndefined()
  })
})

describe("a curtain", () => {
  it("keeps words back until it is raised, and then everything comes in order, once", async () => {
    const [reader, streaming] = [new Reader(), new StreamingReader()]
    const { callbacks, raise, drop } = curtain(audienceOf(managerOf(reader, streaming)) as never)
    await answer(callbacks, "a", "b")
    expect([reader.heard(), streaming.heard()]).toEqual([["start"], []])
    await raise()
    await raise()
    await drop()
    expect([reader.heard(), streaming.heard()]).toEqual([
      ["start", "a", "b", "end"],
      ["start", "a", "b", "end"],
    ])
  })

  it("tells a token reader that a dropped run has ended, and nobody what it said", async () => {
    const [reader, streaming] = [new Reader(), new StreamingReader()]
    const { callbacks, drop } = curtain(audienceOf(managerOf(reader, streaming)) as never)
    await answer(callbacks, "a")
    await drop()
    expect([reader.heard(), streaming.heard()]).toEqual([["start", "end"], []])
  })

  it("tells of a dropped run what it cost, and not what it said", async () => {
    const heard: LLMResult[] = []
    class Counter extends Reader {
      override handleLLMEnd(output?: LLMResult): void {
        if (output !== undefined) heard.push(output)
      }
    }
    const { callbacks, drop } = curtain(audienceOf(managerOf(new Counter())) as never)
    const [run] = await callbacks.handleChatModelStart(SERIALIZED, [[new HumanMessage("Hello")]])
    const usage = { input_tokens: 9, output_tokens: 3, total_tokens: 12 }
    const message = new AIMessage({ content: "secret", id: "m-1", response_metadata: { model: "m" } })
    Object.assign(message, { usage_metadata: usage })
    const generation = { text: "secret", message, generationInfo: { finish_reason: "stop" } }
    await run?.handleLLMEnd({ generations: [[generation]], llmOutput: { total: 12 } })
    await drop()
    expect(JSON.stringify(heard)).not.toContain("secret")
    expect(heard).toMatchObject([{ llmOutput: { total: 12 } }])
    expect(heard[0]?.generations[0]?.[0]).toMatchObject({
      text: "",
      generationInfo: { finish_reason: "stop" },
      message: { content: "", id: "m-1", usage_metadata: usage, response_metadata: { model: "m" } },
    })
  })

  it("is not disturbed by a reader in the background who fails at the end of a dropped run", async () => {
    let ends = 0
    class Failing extends Reader {
      // As a field it does not make LangChain wait for the handler, as it does when it is handed to the constructor.
      override raiseError = true

      override handleLLMEnd(): void {
        ends++
        throw new Error("no reader")
      }
    }
    const { callbacks, drop } = curtain(audienceOf(managerOf(new Failing({}))) as never)
    await answer(callbacks, "a")
    await drop()
    await expect.poll(() => ends).toBe(1)
    // Long enough for a rejection that nobody has handled to be told of.
    await turn()
  })

  it("lets a failure be heard at once by those who count", async () => {
    const reader = new Reader()
    const { callbacks, drop } = curtain(audienceOf(managerOf(reader)) as never)
    const [run] = await callbacks.handleChatModelStart(SERIALIZED, [[new HumanMessage("Hello")]])
    await run?.handleLLMNewToken("a")
    await run?.handleLLMError(new Error("broken"))
    await drop()
    expect(reader.heard()).toEqual(["start", "error"])
  })

  it("is raised for a handler in the background before it says so", async () => {
    const streaming = new StreamingReader({})
    const { callbacks, raise } = curtain(audienceOf(managerOf(streaming)) as never)
    await answer(callbacks, ...Array.from({ length: 50 }, String))
    await raise()
    expect(streaming.heard()).toHaveLength(52)
  })

  it("hands its views down to the runs below", async () => {
    const reader = new Reader()
    const { callbacks } = curtain(audienceOf(managerOf(reader)) as never)
    const chain = await callbacks.handleChainStart(SERIALIZED, {})
    await answer(chain.getChild(), "a")
    expect(reader.heard()).toEqual(["start"])
  })

  it("warns of a handler that throws, and hears the one that asked to be heard", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {})
    class Throwing extends StreamingReader {
      override handleLLMNewToken(): void {
        throw new Error("no screen")
      }
    }
    const quiet = curtain(audienceOf(managerOf(new Throwing())) as never)
    await answer(quiet.callbacks, "a")
    await quiet.raise()
    expect(warned).toHaveBeenCalledWith(expect.stringContaining("no screen"))
    const loud = curtain(audienceOf(managerOf(new Throwing({ raiseError: true }))) as never)
    await answer(loud.callbacks, "a")
    await expect(loud.raise()).rejects.toThrow("no screen")
    warned.mockRestore()
  })
})

describe("whenShown", () => {
  it("calls at the first word, and asks for streaming as the audience does", async () => {
    const streaming = new StreamingReader()
    let calls = 0
    const callbacks = whenShown(audienceOf(managerOf(streaming)) as never, () => calls++)
    expect(callbacks.handlers.every((handler) => "lc_prefer_streaming" in handler)).toBe(true)
    await answer(callbacks)
    expect(calls).toBe(0)
    await answer(callbacks, "a")
    expect(calls).toBe(1)
    expect(streaming.heard()).toEqual(["start", "end", "start", "a", "end"])
  })

  it("takes a call of a tool for something to see, and an empty chunk for nothing", async () => {
    let calls = 0
    const callbacks = whenShown(audienceOf(managerOf(new StreamingReader())) as never, () => calls++)
    const [run] = await callbacks.handleChatModelStart(SERIALIZED, [[new HumanMessage("Hello")]])
    const say = async (fields: object) => {
      const message = new AIMessageChunk({ content: "", ...fields })
      const chunk = new ChatGenerationChunk({ text: "", message })
      await run?.handleLLMNewToken("", undefined, undefined, undefined, undefined, { chunk })
      return calls
    }
    expect(await say({})).toBe(0)
    expect(
      await say({ tool_call_chunks: [{ index: 0, name: "f", args: "", type: "tool_call_chunk" }] }),
    ).toBe(1)
  })

  it("takes the words of an event stream for shown, and not what opens it", async () => {
    let calls = 0
    const { handlers } = whenShown(audienceOf(managerOf(new StreamingReader())) as never, () => calls++)
    const watch = handlers.at(-1) as unknown as Readonly<Record<string, (event: object) => void>>
    for (const event of ["message-start", "content-block-start"]) {
      watch["handleChatModelStreamEvent"]?.({ event })
    }
    expect(calls).toBe(0)
    watch["handleChatModelStreamEvent"]?.({ event: "content-block-delta" })
    expect(calls).toBe(1)
  })
})
