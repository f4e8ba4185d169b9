import { AIMessage, AIMessageChunk } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { generatedText, reportedUsage } from "./usage.ts"

/** LangChain's declaration of `usage_metadata` is too narrow for the nonsense that servers send. */
const reporting = (usage_metadata: object) => Object.assign(new AIMessage("ok"), { usage_metadata })

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
      inputTokens: 1_000,
      outputTokens: 50,
      cachedInputTokens: 700,
      cacheWriteTokens: 200,
      reasoningTokens: 30,
      estimated: false,
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
})
