import { AIMessageChunk } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { finishReasons } from "./finish-reason.ts"

const model = (type: string) => ({ _llmType: () => type }) as never
const told = (
  response_metadata: Record<string, unknown>,
  additional_kwargs: Record<string, unknown> = {},
) => ({
  message: new AIMessageChunk({ content: "Hi", response_metadata, additional_kwargs }),
})

describe("finishReasons", () => {
  it.each([
    ["OpenAI", told({ finish_reason: "stop" })],
    ["Anthropic", told({}, { stop_reason: "end_turn" })],
    ["Ollama", told({ done_reason: "stop" })],
    ["Google", told({ finishReason: "STOP" })],
    ["OpenAI's Responses", told({ status: "completed" })],
    ["an answer that broke its schema", { ...told({}), parseError: "no JSON" }],
  ])("takes an answer of %s that says why it ended as whole", (_, piece) => {
    expect(finishReasons(new Map()).isWhole(model("openai"), piece)).toBe(true)
  })

  it.each(["openai", "anthropic", "ollama"])("misses a reason of %s, which always gives one", (type) => {
    expect(finishReasons(new Map()).isWhole(model(type), told({}))).toBe(false)
    expect(finishReasons(new Map()).isWhole(model(type), told({ finish_reason: "" }))).toBe(false)
    expect(finishReasons(new Map()).isWhole(model(type), told({ status: "in_progress" }))).toBe(false)
  })

  it("misses it of others once they have given one", () => {
    const [reasons, other] = [finishReasons(new Map()), model("other")]
    expect(reasons.isWhole(other, told({}))).toBe(true)
    expect(reasons.isWhole(other, told({ stopReason: "end" }))).toBe(true)
    expect(reasons.isWhole(other, told({}))).toBe(false)
    expect(reasons.isWhole(model("other"), told({}))).toBe(true)
  })

  it("believes what is said of a deployment's model", () => {
    const [silent, talking] = [model("openai"), model("other")]
    const reasons = finishReasons(
      new Map([
        [silent, false],
        [talking, true],
      ]),
    )
    expect(reasons.isWhole(silent, told({}))).toBe(true)
    expect(reasons.isWhole(talking, told({}))).toBe(false)
  })
})
