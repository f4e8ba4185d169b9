import {
  AIMessage,
  type BaseMessage,
  ChatMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
} from "@langchain/core/messages"
import { type StructuredToolInterface, tool } from "@langchain/core/tools"
import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import * as zod from "zod"
import type { RequestFeatures, RouteRequest } from "../spec/request.ts"
import { estimateTokens } from "../tokens/estimate-tokens.ts"
import { utf8Bytes } from "../tokens/utf8-bytes.ts"
import { MAX_ASK_CHARS } from "./asked-text.ts"
import { OVERHEAD } from "./overhead.ts"
import { MAX_CONTEXT_LENGTH, readFeatures } from "./read-features.ts"

describe("readFeatures", () => {
  it("reads a question", () => {
    const { features, text } = readFeatures({
      messages: [new HumanMessage("What is the capital of France?")],
    })
    expect(features).toMatchObject({
      askTokens: estimateTokens("What is the capital of France?"),
      messages: 1,
      turns: 1,
      toolsOffered: 0,
      toolResultsPending: false,
      wantsSchema: false,
      hasCode: false,
      language: "en",
      taskType: undefined,
      capabilities: [],
      contextLength: 0,
    })
    expect(text).toEqual({ ask: "What is the capital of France?", earlier: [] })
  })

  it("reads the present turn, and at most three before it, newest first", () => {
    const messages = ["one", "two", "three", "four", "five"].flatMap((words) => [
      new HumanMessage(words),
      new AIMessage(`answer to ${words}`),
    ])
    const { features, text } = readFeatures({ messages: messages.slice(0, -1) })
    expect(features.turns).toBe(5)
    expect(text).toEqual({ ask: "five", earlier: ["four", "three", "two"] })
  })

  it("asks nothing new in the middle of a tool loop", () => {
    const { features, text } = readFeatures({ messages: toolLoop("the result ".repeat(500)) })
    expect(features).toMatchObject({
      toolResultsPending: true,
      turns: 1,
      askTokens: estimateTokens("Weather in Bern?"),
    })
    expect(text.ask).toBe("Weather in Bern?")
  })

  it("takes a user message that only brings a tool's result for no turn", () => {
    const result = { type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "7 degrees" }] }
    const { features, text } = readFeatures({
      messages: [new HumanMessage("Weather in Bern?"), new HumanMessage({ content: [result] })],
    })
    expect(features).toMatchObject({ toolResultsPending: true, turns: 1 })
    expect(text.ask).toBe("Weather in Bern?")
  })

  it("leaves a tool's result out of what is asked beside it", () => {
    const result = { type: "tool_result", tool_use_id: "c1", content: "seven degrees ".repeat(100) }
    const { features, text } = readFeatures({
      messages: [new HumanMessage({ content: [result, { type: "text", text: "And tomorrow?" }] })],
    })
    expect(text.ask).toBe("And tomorrow?")
    expect(features.askTokens).toBe(estimateTokens("And tomorrow?"))
  })

  it("knows a user by the role of a chat message", () => {
    const { features, text } = readFeatures({ messages: [new ChatMessage("Hello", "user")] })
    expect(features.turns).toBe(1)
    expect(text.ask).toBe("Hello")
  })

  it("keeps system prompt, tools and tool results out of everything but the input", () => {
    const bare = readFeatures({ messages: [new HumanMessage("Weather in Bern?")] })
    const loaded = readFeatures({
      messages: [new SystemMessage("You are careful. ".repeat(1_500)), new HumanMessage("Weather in Bern?")],
      tools: Array.from({ length: 32 }, (_, index) => weatherTool(`weather_${index}`)),
    })
    expect(loaded.text).toEqual(bare.text)
    expect(loaded.features).toEqual({
      ...bare.features,
      messages: 2,
      toolsOffered: 32,
      inputTokens: loaded.features.inputTokens,
      inputBytes: loaded.features.inputBytes,
    })
    expect(loaded.features.inputTokens).toBeGreaterThan(bare.features.inputTokens + 6_000)
  })

  it("counts only the context that is declared, and that up to a cap", () => {
    const declared = (contextLength: number | undefined): number =>
      featuresOf([new HumanMessage("Hello")], { contextLength }).contextLength
    expect([2_048, 1e12, undefined, -5, Number.NaN, Number.POSITIVE_INFINITY].map(declared)).toEqual([
      2_048,
      MAX_CONTEXT_LENGTH,
      0,
      0,
      0,
      MAX_CONTEXT_LENGTH,
    ])
  })

  it("counts media apart from the words", () => {
    const picture = Buffer.alloc(3_000_000, 7).toString("base64")
    const features = featuresOf([
      new HumanMessage({
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url: `data:image/png;base64,${picture}` } },
          { type: "image", url: "https://example.org/a.png" },
          { type: "input_audio", input_audio: { data: "c2l4Ynl0", format: "wav" } },
          { type: "file", source_type: "base64", mime_type: "application/pdf", data: "c2l4Ynl0" },
        ],
      }),
    ])
    expect(features).toMatchObject({ images: 2, audioClips: 1, files: 1, mediaBytes: 3_000_012 })
    expect(features.askTokens).toBe(estimateTokens("What is this?"))
    expect(features.inputTokens).toBeLessThan(100)
    expect(features.inputBytes).toBeLessThan(1_000)
    const address = "https://example.org/a.png"
    const byAddress = featuresOf([new HumanMessage({ content: [{ type: "image", url: address }] })])
    expect(byAddress.inputBytes - featuresOf([new HumanMessage("")]).inputBytes).toBe(address.length)
  })

  it("sees the picture that a tool has answered with", () => {
    const answer = new ToolMessage({
      tool_call_id: "c1",
      content: [{ type: "image", mimeType: "image/png", data: "c2l4Ynl0" }],
    })
    expect(featuresOf([new HumanMessage("Show it"), answer])).toMatchObject({ images: 1, mediaBytes: 6 })
  })

  it("comes near the input that OpenAI's API reference reports for its example of a tool call: 82 tokens", () => {
    const parameters = {
      type: "object",
      properties: {
        location: { type: "string", description: "The city and state, e.g. San Francisco, CA" },
        unit: { type: "string", enum: ["celsius", "fahrenheit"] },
      },
      required: ["location"],
    }
    const description = "Get the current weather in a given location"
    const weather = { type: "function", function: { name: "get_current_weather", description, parameters } }
    const { inputTokens } = featuresOf([new HumanMessage("What is the weather like in Boston?")], {
      tools: [weather],
    })
    expect(Math.abs(inputTokens / 82 - 1)).toBeLessThan(0.05)
  })

  it("counts a tool with a zod schema as the definition that is sent", () => {
    const [weather, news] = [weatherTool("weather"), weatherTool("news")]
    const one = featuresOf([new HumanMessage("Hello")], { tools: [weather] })
    const two = featuresOf([new HumanMessage("Hello")], { tools: [weather, news] })
    const sent = JSON.stringify({
      type: "function",
      function: {
        name: "news",
        description: news.description,
        parameters: {
          type: "object",
          properties: { city: { type: "string", description: "The city, by name" } },
          required: ["city"],
        },
      },
    })
    expect(two.toolsOffered).toBe(2)
    expect(two.inputBytes - one.inputBytes).toBeGreaterThan(sent.length)
    expect(two.inputBytes - one.inputBytes).toBeLessThan(2 * sent.length)
    expect(two.inputTokens - one.inputTokens).toBeGreaterThan(estimateTokens(sent))
  })

  it("counts the schema that the answer must follow", () => {
    const schema = {
      type: "object",
      properties: { city: { type: "string", description: "words ".repeat(200) } },
    }
    const messages = [new HumanMessage("Hello")]
    const without = featuresOf(messages)
    const wanted = featuresOf(messages, { responseFormat: { name: "answer", schema } })
    expect(wanted.wantsSchema).toBe(true)
    expect(wanted.inputBytes - without.inputBytes).toBeGreaterThan(JSON.stringify(schema).length)
    expect(wanted.inputTokens - without.inputTokens).toBeGreaterThan(200)
  })

  it("counts names, roles and ids that are sent beside the words", () => {
    const name = "a-very-descriptive-name"
    const bytes = (message: BaseMessage): number => featuresOf([message]).inputBytes
    const bare = bytes(new HumanMessage("Hello"))
    expect(bytes(new HumanMessage({ content: "Hello", name })) - bare).toBe(name.length)
    expect(bytes(new ChatMessage("Hello", name)) - bare).toBe(name.length)
    expect(bytes(new ToolMessage({ content: "Hello", tool_call_id: name })) - bare).toBe(name.length)
  })

  it("leaves room for the marks that a template puts around each message", () => {
    const one = featuresOf([new HumanMessage("")])
    const two = featuresOf([new HumanMessage(""), new HumanMessage("")])
    expect(two.inputBytes - one.inputBytes).toBe(OVERHEAD.message.bytes)
    expect(two.inputTokens - one.inputTokens).toBe(OVERHEAD.message.tokens)
  })

  it("measures a tool once for all requests that share its sizes", () => {
    const weather = weatherTool("weather")
    const sizes = new WeakMap()
    const request: RouteRequest = { messages: [new HumanMessage("Hello")], tools: [weather] }
    const first = readFeatures(request, sizes)
    const read = vi.spyOn(weather, "schema", "get" as never)
    expect(readFeatures(request, sizes)).toEqual(first)
    expect(read).not.toHaveBeenCalled()
    expect(sizes.has(weather)).toBe(true)
  })

  it.each([
    ["a tool that is none", { tools: [undefined] }, "tools[0]"],
    ["a tool with a cycle", { tools: [{ name: "ok" }, cyclic()] }, "tools[1]"],
    [
      "a schema with a cycle",
      { responseFormat: { name: "answer", schema: cyclic() } },
      "responseFormat.schema",
    ],
  ])("refuses %s by its place", (_, request, path) => {
    const read = (): unknown => readFeatures({ messages: [new HumanMessage("Hello")], ...request })
    expect(read).toThrow(expect.objectContaining({ code: "invalid-request", path }))
  })

  it("counts a call once, whether it stands in the message, in its content or in the provider's form", () => {
    const call = { id: "call_1", name: "weather", args: { city: "Bern" } }
    const raw = {
      id: "call_1",
      type: "function",
      function: { name: "weather", arguments: '{"city":"Bern"}' },
    } as const
    const use = { type: "tool_use", id: "call_1", name: "weather", input: { city: "Bern" } }
    const plain = featuresOf([new AIMessage({ content: "", tool_calls: [call] })])
    const doubled = featuresOf([
      new AIMessage({ content: [use], tool_calls: [call], additional_kwargs: { tool_calls: [raw] } }),
    ])
    expect(doubled.inputBytes).toBe(plain.inputBytes)
    const onlyInContent = featuresOf([new AIMessage({ content: [use] })])
    expect(onlyInContent.inputBytes).toBeGreaterThan(plain.inputBytes - 100)
  })

  it("bounds the tokens by bytes that leave nothing out", () => {
    const words = fc.string({ unit: "binary" })
    const message = fc.oneof(
      words.map((text) => new HumanMessage(text)),
      words.map((text) => new SystemMessage({ content: text, name: "rules" })),
      words.map(
        (text) =>
          new AIMessage({ content: [{ type: "text", text }], tool_calls: [{ name: "f", args: { text } }] }),
      ),
      words.map((content) => new ToolMessage({ content, tool_call_id: "call_123" })),
    )
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), (messages) => {
        const { inputBytes, inputTokens } = featuresOf(messages)
        const said = messages.reduce((sum, one) => sum + utf8Bytes(one.text), 0)
        const called = messages.reduce((sum, one) => sum + utf8Bytes(callsOf(one)), 0)
        expect(inputBytes).toBeGreaterThanOrEqual(said + called)
        expect(inputBytes).toBeGreaterThanOrEqual(inputTokens)
      }),
    )
  })

  it("counts JSON as the most that templates make of it: with escapes, and spaces after its marks", () => {
    const bytesOf = (args: Record<string, unknown>): number =>
      featuresOf([new AIMessage({ content: "", tool_calls: [{ name: "f", args }] })]).inputBytes
    expect(bytesOf({ city: "中中中" }) - bytesOf({ city: "" })).toBe(3 * "\\u4e2d".length)
    expect(bytesOf({ ids: [1, 2, 3] }) - bytesOf({ ids: [1] })).toBe(", 2, 3".length)
  })

  it("never throws on what anybody may write", () => {
    const anyString = fc
      .array(fc.integer({ min: 0, max: 0xffff }))
      .map((units) => String.fromCharCode(...units))
    fc.assert(
      fc.property(anyString, (text) => {
        const { features } = readFeatures({ messages: [new HumanMessage(text)] })
        expect(features.inputBytes).toBeGreaterThanOrEqual(utf8Bytes(text))
      }),
    )
  })

  it("reads a pasted book by its beginning and its end", () => {
    const { text, features } = readFeatures({
      messages: [new HumanMessage(`Summarise this.\n${"word ".repeat(20_000)}\nIn ten lines, please.`)],
    })
    expect(text.ask.length).toBeLessThanOrEqual(MAX_ASK_CHARS)
    expect(text.ask.startsWith("Summarise this.")).toBe(true)
    expect(text.ask.endsWith("In ten lines, please.")).toBe(true)
    expect(features.askTokens).toBeGreaterThan(20_000)
  })

  it("looks at each character of a megabyte no more often than of a tenth of it", () => {
    for (const piece of ["some words, and (more) words; ", "x", "中", '{"a":['] as const) {
      const small = charactersRead(piece.repeat(100_000 / piece.length))
      const large = charactersRead(piece.repeat(1_000_000 / piece.length))
      expect(small).toBeGreaterThan(90_000)
      expect(large).toBeLessThanOrEqual(14 * small)
    }
  })
})

function featuresOf(messages: readonly BaseMessage[], more: Partial<RouteRequest> = {}): RequestFeatures {
  return readFeatures({ messages, ...more }).features
}

function toolLoop(result: string): readonly BaseMessage[] {
  return [
    new HumanMessage("Weather in Bern?"),
    new AIMessage({ content: "", tool_calls: [{ id: "c1", name: "weather", args: { city: "Bern" } }] }),
    new ToolMessage({ content: result, tool_call_id: "c1" }),
  ]
}

function weatherTool(name: string): StructuredToolInterface {
  return tool(() => "sunny", {
    name,
    description: "Looks up the weather of a city, today and for the six days after it.",
    schema: zod.object({ city: zod.string().describe("The city, by name") }),
  })
}

function cyclic(): Record<string, unknown> {
  const self: Record<string, unknown> = { name: "self" }
  self["self"] = self
  return self
}

function callsOf(message: BaseMessage): string {
  const calls = AIMessage.isInstance(message) ? (message.tool_calls ?? []) : []
  return calls.map((call) => JSON.stringify(call)).join("")
}

/** How many characters the reader's own scans look at: counted where a clock would guess. */
function charactersRead(text: string): number {
  const original = Object.getOwnPropertyDescriptor(String.prototype, "charCodeAt") as {
    readonly value: (this: string, at: number) => number
  }
  const request: RouteRequest = { messages: [new HumanMessage(text)] }
  let reads = 0
  try {
    Reflect.defineProperty(String.prototype, "charCodeAt", {
      ...original,
      value(this: string, at: number) {
        reads++
        return original.value.call(this, at)
      },
    })
    readFeatures(request)
  } finally {
    Reflect.defineProperty(String.prototype, "charCodeAt", original)
  }
  return reads
}
