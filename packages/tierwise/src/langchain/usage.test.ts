import { AIMessage, AIMessageChunk } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { NO_USAGE, type Usage } from "../spec/usage.ts"
import {
  generatedCalls,
  generatedText,
  reportedUsage,
  reportedUsageWithin,
  reportsCountOn,
  usageOfPieces,
} from "./usage.ts"

/** LangChain's declaration of `usage_metadata` is too narrow for the nonsense that servers send. */
const reporting = (usage_metadata: object, usage: object = {}): AIMessage =>
  Object.assign(new AIMessage({ content: "ok", response_metadata: { usage } }), { usage_metadata } as object)

describe("reportedUsage", () => {
  it("reads what LangChain reports, cache and reasoning included", () => {
    const message = reporting({
      input_tokens: 1_000,
      output_tokens: 50,
      total_tokens: 1_050,
      input_token_details: { cache_read: 700, cache_creation: 200 },
      output_token_details: { reasoning: 30 },
    })
    expect(reportedUsage(message)).toEqual({
      ...NO_USAGE,
      inputTokens: 1_000,
      outputTokens: 50,
      cachedInputTokens: 700,
      cacheWriteTokens: 200,
      reasoningTokens: 30,
      estimated: false,
    })
  })

  it("reads sound and pictures, heard and seen, spoken and drawn", () => {
    const message = reporting({
      input_tokens: 100,
      output_tokens: 50,
      total_tokens: 150,
      input_token_details: { audio: 60, image: 30 },
      output_token_details: { audio: 20, image: 10 },
    })
    expect(reportedUsage(message)).toMatchObject({
      inputAudioTokens: 60,
      inputImageTokens: 30,
      outputAudioTokens: 20,
      outputImageTokens: 10,
    })
  })

  it("finds in the provider's own report what LangChain's form has no field for", () => {
    const message = reporting(
      { input_tokens: 900, output_tokens: 5, input_token_details: { cache_creation: 500 } },
      {
        cache_creation: { ephemeral_5m_input_tokens: 300, ephemeral_1h_input_tokens: 200 },
        prompt_tokens_details: { image_tokens: 64 },
        completion_tokens_details: { image_tokens: 3 },
        prompt_cache_hit_tokens: 100,
      },
    )
    expect(reportedUsage(message)).toMatchObject({
      cacheWriteTokens: 500,
      cacheWrite1hTokens: 200,
      inputImageTokens: 64,
      outputImageTokens: 3,
      cachedInputTokens: 100,
    })
  })

  it("takes an output of nothing for what it is, where LangChain leaves it out", () => {
    const own = { prompt_tokens: 9, completion_tokens: 0, total_tokens: 9 }
    const message = reporting({ input_tokens: 9, total_tokens: 9 }, own)
    expect(reportedUsage(message)).toMatchObject({ inputTokens: 9, outputTokens: 0, estimated: false })
  })

  it.each([
    ["cached tokens that are more than the input", [10, 5, 15], { cache_read: 100 }, {}, [110, 5]],
    [
      "cached tokens that the total has beside the input",
      [1_000, 5, 1_505],
      { cache_read: 500 },
      {},
      [1_500, 5],
    ],
    ["written tokens beside the input", [10, 5, 315], { cache_read: 100, cache_creation: 200 }, {}, [310, 5]],
    [
      "reasoning that the total has beside the output",
      [32, 9, 135],
      { cache_read: 6 },
      { reasoning: 94 },
      [32, 103],
    ],
    [
      "cached tokens and reasoning that the total has beside both",
      [600, 200, 1_500],
      { cache_read: 400 },
      { reasoning: 300 },
      [1_000, 500],
    ],
    [
      "more cached tokens than input, and reasoning",
      [10, 5, 145],
      { cache_read: 100 },
      { reasoning: 30 },
      [110, 35],
    ],
    ["a total that is too small", [10, 7, 3], { cache_read: 4 }, { reasoning: 2 }, [10, 7]],
  ] as const)(
    "counts %s once, in its whole",
    (_, [input, output, total], inputDetails, outputDetails, expected) => {
      const usage = reportedUsage(
        reporting({
          input_tokens: input,
          output_tokens: output,
          total_tokens: total,
          input_token_details: inputDetails,
          output_token_details: outputDetails,
        }),
      )
      expect([usage?.inputTokens, usage?.outputTokens, usage?.estimated]).toEqual([...expected, false])
    },
  )

  it("takes thinking that only the total has for output, as far as the cap that was sent lets it be", () => {
    const message = reporting({ input_tokens: 10, output_tokens: 7, total_tokens: 517 })
    expect(reportedUsageWithin(message, 507)).toMatchObject({
      inputTokens: 10,
      outputTokens: 507,
      estimated: false,
    })
  })

  it("believes no total that nothing explains, and says that it is an estimate", () => {
    const session = reporting({ input_tokens: 10, output_tokens: 7, total_tokens: 517 })
    const asReported = { inputTokens: 10, outputTokens: 7, estimated: true }
    expect(reportedUsageWithin(session, 506)).toMatchObject(asReported)
    expect(reportedUsage(session)).toMatchObject(asReported)
    const garbage = reporting({
      input_tokens: 600,
      output_tokens: 200,
      total_tokens: 90_000_000,
      input_token_details: { cache_read: 400 },
      output_token_details: { reasoning: 100 },
    })
    expect(reportedUsageWithin(garbage, 1_000)).toMatchObject({
      inputTokens: 600,
      outputTokens: 200,
      estimated: true,
    })
  })

  it("knows no detail that was not reported", () => {
    expect(reportedUsage(reporting({ input_tokens: 3, output_tokens: 2, total_tokens: 5 }))).toMatchObject({
      cachedInputTokens: 0,
      cacheWriteTokens: 0,
      reasoningTokens: 0,
    })
  })

  it("takes a report of nothing for no report: servers without usage send zeros", () => {
    const zeros = { input_tokens: 0, output_tokens: 0, total_tokens: 0 }
    expect(reportedUsage(reporting(zeros))).toBeUndefined()
    expect(reportedUsage(new AIMessage("ok"))).toBeUndefined()
  })

  it.each([
    ["a negative count", { input_tokens: -5, output_tokens: 2 }],
    ["a count that is no number", { input_tokens: Number.NaN, output_tokens: 2 }],
    ["a count without end", { input_tokens: 5, output_tokens: Number.POSITIVE_INFINITY }],
    ["a count that is missing", { input_tokens: 5 }],
  ])("takes %s for no report", (_, usage) => {
    expect(reportedUsage(reporting(usage))).toBeUndefined()
  })

  it("rounds half a token up, and takes a detail of nonsense for none", () => {
    const usage = { input_tokens: 5.5, output_tokens: 2, input_token_details: { cache_read: -3 } }
    expect(reportedUsage(reporting(usage))).toMatchObject({ inputTokens: 6, cachedInputTokens: 0 })
  })
})

describe("usageOfPieces", () => {
  const used = (inputTokens: number, outputTokens: number, more: Partial<Usage> = {}): Usage => ({
    ...NO_USAGE,
    inputTokens,
    outputTokens,
    estimated: false,
    ...more,
  })

  it("adds up what came in parts, as LangChain does", () => {
    expect(usageOfPieces([used(100, 1), used(0, 3), used(0, 2)], false)).toEqual(used(100, 6))
    expect(usageOfPieces([used(100, 6)], false)).toEqual(used(100, 6))
    expect(usageOfPieces([], false)).toBeUndefined()
  })

  it("takes the last count of a provider that counts on, and its cached tokens once", () => {
    const start = used(1_000, 1, { cachedInputTokens: 900, cacheWriteTokens: 50, cacheWrite1hTokens: 20 })
    expect(usageOfPieces([start, used(0, 25), used(0, 40)], true)).toEqual({ ...start, outputTokens: 40 })
    // Older packages repeat the details on the last event.
    const end = used(0, 40, { cachedInputTokens: 900, cacheWriteTokens: 50 })
    expect(usageOfPieces([start, end], true)).toEqual({ ...start, outputTokens: 40 })
  })

  it("takes the last of running totals that are repeated on every piece", () => {
    expect(usageOfPieces([used(18, 0), used(18, 3), used(18, 8), used(18, 8)], false)).toEqual(used(18, 8))
  })

  it("adds up reports that are no running totals: they have no input, or less than before", () => {
    expect(usageOfPieces([used(18, 5), used(20, 3)], false)).toEqual(used(38, 8))
    expect(usageOfPieces([used(0, 3), used(0, 5)], false)).toEqual(used(0, 8))
  })

  it("is an estimate where a package has added up what counts on", () => {
    expect(usageOfPieces([used(25, 16)], true)).toEqual({ ...used(25, 16), estimated: true })
  })
})

describe("reportsCountOn", () => {
  const from = (model_provider: string, usage: object | undefined) =>
    new AIMessage({ content: "", response_metadata: { model_provider, usage } })

  it("tells the first event of Anthropic's stream from a whole answer", () => {
    expect(reportsCountOn(from("anthropic", { cache_read_input_tokens: 0 }))).toBe(true)
    expect(reportsCountOn(from("anthropic", { input_tokens: 25, output_tokens: 15 }))).toBe(false)
    expect(reportsCountOn(from("openai", {}))).toBe(false)
    expect(reportsCountOn(new AIMessageChunk("and so on"))).toBe(false)
  })
})

describe("generatedCalls", () => {
  it("counts a call once, where it begins", () => {
    const tool_calls = [{ id: "1", name: "get_weather", args: {} }]
    expect(generatedCalls(new AIMessage({ content: "", tool_calls }))).toBe(1)
    const chunk = (name: string | undefined, args: string) =>
      new AIMessageChunk({
        content: "",
        tool_call_chunks: [{ index: 0, args, type: "tool_call_chunk", ...(name !== undefined && { name }) }],
      })
    expect(
      [chunk("get_weather", ""), chunk(undefined, '{"city":'), chunk("", "}")].map(generatedCalls),
    ).toEqual([1, 0, 0])
  })
})

describe("generatedText", () => {
  it("is what was said, and the names and arguments of tool calls", () => {
    const tool_calls = [{ id: "1", name: "get_weather", args: { city: "Rome" } }]
    expect(generatedText(new AIMessage({ content: "Let me see.", tool_calls }))).toBe(
      'Let me see.get_weather{"city":"Rome"}',
    )
    const tool_call_chunks = [
      { index: 0, name: "get_weather", args: '{"city":', type: "tool_call_chunk" as const },
    ]
    expect(generatedText(new AIMessageChunk({ content: "", tool_call_chunks }))).toBe('get_weather{"city":')
  })

  it("is empty for a piece that says nothing", () => {
    expect(generatedText(new AIMessageChunk(""))).toBe("")
    expect(generatedText(new AIMessage(""))).toBe("")
  })

  it("counts thoughts that are shown among what was generated", () => {
    const anthropic = new AIMessageChunk({
      content: [
        { type: "thinking", thinking: "Hm. " },
        { type: "text", text: "Yes." },
      ] as never,
    })
    expect(generatedText(anthropic)).toBe("Hm. Yes.")
    const deepSeek = new AIMessageChunk({ content: "Yes.", additional_kwargs: { reasoning_content: "Hm. " } })
    expect(generatedText(deepSeek)).toBe("Hm. Yes.")
    const drawn = new AIMessage({
      content: [
        { type: "text", text: "See:" },
        { type: "image_url", image_url: "x" },
      ] as never,
    })
    expect(generatedText(drawn)).toBe("See:")
  })
})
