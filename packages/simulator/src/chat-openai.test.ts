import { createRequire } from "node:module"
import { describe, expect, it } from "vitest"
import type { ScriptedFault } from "./faults.ts"
import { type Simulator, startSimulator } from "./server.ts"

/*
 * What LangChain makes of a fault. This package does not depend on LangChain; the workspace's tests do, and theirs is
 * borrowed here.
 */

const ANSWER = "one two three four five six"

describe("faults as ChatOpenAI tells them", () => {
  it("are errors with a status for what is refused", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const overflow = { name: "ContextOverflowError" }
    const cases: readonly (readonly [ScriptedFault, object])[] = [
      [{ status: 400 }, { status: 400, type: "invalid_request_error" }],
      [{ status: 401 }, { status: 401, lc_error_code: "MODEL_AUTHENTICATION" }],
      [{ status: 403 }, { status: 403 }],
      [{ status: 404 }, { status: 404, lc_error_code: "MODEL_NOT_FOUND" }],
      [{ status: 408 }, { status: 408, type: "timeout" }],
      [{ status: 409 }, { status: 409 }],
      [{ status: 413 }, { status: 413, code: "rate_limit_exceeded" }],
      [{ status: 422 }, { status: 422 }],
      [{ status: 429 }, { status: 429, lc_error_code: "MODEL_RATE_LIMIT", retryAfterMs: 1_000 }],
      [
        { status: 429, retryAfter: { seconds: 30 } },
        { status: 429, retryAfterMs: 30_000 },
      ],
      [{ refusal: "openai-quota-exhausted" }, { status: 429, rateLimitType: "stop" }],
      [{ status: 500 }, { status: 500 }],
      [{ status: 502 }, { status: 502, message: expect.stringContaining("502 <html>") }],
      [{ status: 503 }, { status: 503 }],
      [{ status: 504 }, { status: 504 }],
      [{ status: 529 }, { status: 529, type: "overloaded_error" }],
      [{ refusal: "openai-context-overflow" }, overflow],
      [{ refusal: "vllm-context-overflow-flat" }, overflow],
      // The words of newer vLLM are not known to it.
      [{ refusal: "vllm-context-overflow" }, { name: "Error", status: 400, code: 400 }],
      [{ refusal: "azure-content-filter" }, { status: 400, code: "content_filter" }],
    ]
    for (const [fault, error] of cases)
      for (const outcome of [await invoked(simulator, fault), await streamed(simulator, fault)])
        expect(outcome, JSON.stringify(fault)).toMatchObject({ error })
  })

  it("are connection errors where nothing came, and others where something did", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const lost = (code: string): object => ({ message: "Connection error.", cause: { cause: { code } } })
    for (const [how, code] of [
      ["cut", "UND_ERR_SOCKET"],
      ["reset", "ECONNRESET"],
    ] as const) {
      const start: ScriptedFault = { breaks: { how, at: "start" } }
      expect(await invoked(simulator, start)).toMatchObject({ error: lost(code) })
      expect(await streamed(simulator, start)).toMatchObject({ error: lost(code), heard: "" })
      const late: ScriptedFault = { breaks: { how, at: { chunks: 4 } }, answer: ANSWER }
      expect(await invoked(simulator, late)).toMatchObject({ error: lost(code) })
      expect(await streamed(simulator, late)).toMatchObject({
        error: { name: "TypeError", message: "terminated", cause: { code } },
      })
    }
    await simulator.refuse()
    expect(await invoked(simulator)).toMatchObject({ error: lost("ECONNREFUSED") })
  })

  it("are no errors at all where a stream ends too early", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const early = { breaks: { how: "ends" }, answer: ANSWER } as const
    expect(await streamed(simulator, early)).toEqual({ heard: "one", finishReason: undefined })
    expect(await streamed(simulator, { breaks: { how: "unfinished" }, answer: ANSWER })).toEqual({
      heard: "one",
      finishReason: undefined,
    })
    expect(await streamed(simulator, { breaks: { how: "content-filter" }, answer: ANSWER })).toEqual({
      heard: "one",
      finishReason: "content_filter",
    })
    // Not even a chunk comes of a web page.
    expect(await streamed(simulator, { html: true })).toEqual({ heard: "", finishReason: undefined })
  })

  it("are errors of JSON or of the reader where the body makes no sense", async () => {
    await using simulator = await startSimulator({ timeScale: 0 })
    const noSense = { error: { name: "SyntaxError" } }
    for (const how of ["truncated", "garbled"] as const) {
      expect(await invoked(simulator, { breaks: { how }, answer: ANSWER })).toMatchObject(noSense)
      expect(await streamed(simulator, { breaks: { how }, answer: ANSWER })).toMatchObject({
        ...noSense,
        heard: "one",
      })
    }
    const nothingThere = { error: { name: "TypeError", message: expect.stringContaining("undefined") } }
    for (const fault of [{ emptyChoices: true }, { html: true }, { errorAfterChunks: 2 }] as const)
      expect(await invoked(simulator, fault), JSON.stringify(fault)).toMatchObject(nothingThere)
    expect(await streamed(simulator, { errorAfterChunks: 2, answer: ANSWER })).toMatchObject({
      error: { type: "server_error" },
      heard: "one",
    })
    const overflow = { error: { cause: { cause: { code: "UND_ERR_HEADERS_OVERFLOW" } } } }
    expect(await invoked(simulator, { headerBytes: 40_000 })).toMatchObject(overflow)
  })
})

interface Message {
  readonly content: string
  readonly response_metadata: { readonly finish_reason?: string }
  concat(next: Message): Message
}

interface ChatModel {
  invoke(input: string): Promise<Message>
  stream(input: string): Promise<AsyncIterable<Message>>
}

type ChatModelClass = new (fields: object) => ChatModel

type Outcome =
  | { readonly heard: string; readonly finishReason: string | undefined }
  | { readonly heard: string; readonly error: unknown }

function chatModel({ baseUrl }: Simulator): ChatModel {
  const load = createRequire(new URL("../../../test/package.json", import.meta.url))
  const { ChatOpenAI } = load("@langchain/openai") as { readonly ChatOpenAI: ChatModelClass }
  return new ChatOpenAI({
    model: "sim-small",
    apiKey: "none",
    maxRetries: 0,
    configuration: { baseURL: baseUrl },
  })
}

async function invoked(simulator: Simulator, fault?: ScriptedFault): Promise<Outcome> {
  if (fault !== undefined) simulator.script([fault])
  try {
    const message = await chatModel(simulator).invoke("Hello")
    return { heard: message.content, finishReason: message.response_metadata.finish_reason }
  } catch (error) {
    return { heard: "", error }
  }
}

async function streamed(simulator: Simulator, fault: ScriptedFault): Promise<Outcome> {
  simulator.script([fault])
  let all: Message | undefined
  const heard = (): string => all?.content ?? ""
  try {
    for await (const chunk of await chatModel(simulator).stream("Hello")) all = all?.concat(chunk) ?? chunk
    return { heard: heard(), finishReason: all?.response_metadata.finish_reason }
  } catch (error) {
    return { heard: heard(), error }
  }
}
