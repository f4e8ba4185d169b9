import { AIMessageChunk } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { finishReasons, whenSaidWhy } from "./finish-reason.ts"

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

  it.each(["tierwise", "tierwise-fallback"])(
    "believes a model of ours (%s), of whose answers some may say why",
    (type) => {
      const [reasons, ours] = [finishReasons(new Map()), model(type)]
      expect(reasons.isWhole(ours, told({ finish_reason: "stop" }))).toBe(true)
      expect(reasons.isWhole(ours, told({}))).toBe(true)
    },
  )

  it("learns from runs as from messages", () => {
    const [reasons, other] = [finishReasons(new Map()), model("other")]
    expect([reasons.mayEnd(other, false), reasons.mayEnd(other, true)]).toEqual([true, true])
    expect([reasons.mayEnd(other, false), reasons.isWhole(other, told({}))]).toEqual([false, false])
  })
})

describe("whenSaidWhy", () => {
  const heard = (generation: object, extra?: object): boolean => {
    let said = false
    const handlers = whenSaidWhy(undefined, () => {
      said = true
    }) as { handleLLMEnd(...args: unknown[]): void }[]
    handlers.at(-1)?.handleLLMEnd({ generations: [[generation]] }, "run", undefined, [], extra)
    return said
  }

  it("hears of a reason beside the message, in it, and of an answer out of a cache", () => {
    expect(heard({ generationInfo: { finish_reason: "stop" } })).toBe(true)
    expect(heard(told({ stop_reason: "end_turn" }))).toBe(true)
    expect(heard(told({}), { cached: true })).toBe(true)
    expect(heard(told({}))).toBe(false)
  })

  it("puts a reason that stands beside the message into it, and leaves the message's own", () => {
    const [silent, talking] = [told({}), told({ finish_reason: "length" })]
    const generationInfo = { finish_reason: "content_filter" }
    expect([heard({ ...silent, generationInfo }), heard({ ...talking, generationInfo })]).toEqual([
      true,
      true,
    ])
    expect(silent.message.response_metadata).toEqual(generationInfo)
    expect(talking.message.response_metadata).toEqual({ finish_reason: "length" })
  })

  it("takes no tool call for whole that a filter cut off in the middle", () => {
    const calling = (args: string) => ({
      message: new AIMessageChunk({ content: "", tool_call_chunks: [{ name: "look_up", args, index: 0 }] }),
      generationInfo: { finish_reason: "content_filter" },
    })
    const [half, whole] = [calling('{"city":"Ro'), calling('{"city":"Rome"}')]
    expect([heard(half), heard(whole)]).toEqual([false, true])
    expect(half.message.response_metadata).toEqual({})
  })

  it("leaves other handlers where they are", () => {
    const other = { handleLLMEnd() {} }
    const callbacks = [other as never]
    expect(whenSaidWhy(callbacks, () => {})).toHaveLength(2)
    expect(callbacks).toEqual([other])
  })
})
