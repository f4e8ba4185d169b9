import { AIMessageChunk } from "@langchain/core/messages"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { joinChunks } from "./join-chunks.ts"

const metadata = fc.record(
  {
    model_provider: fc.constantFrom("openai", "anthropic"),
    model_name: fc.constant("m"),
    prompt: fc.constantFrom(0, 1),
    finish_reason: fc.constant("stop"),
    logprobs: fc.constant(null),
    usage: fc.constantFrom({}, { total_tokens: 5 }),
  },
  { requiredKeys: [] },
)
const usage = { input_tokens: 3, output_tokens: 2, total_tokens: 5 }
const chunkFields = fc.record(
  {
    content: fc.oneof(
      { weight: 4, arbitrary: fc.string({ maxLength: 3 }) },
      fc.constant([{ type: "text", text: "x", index: 0 }]),
    ),
    additional_kwargs: fc.oneof(fc.constant({}), fc.constant({ refusal: "no" })),
    response_metadata: metadata,
    tool_call_chunks: fc.constantFrom(
      [],
      [{ index: 0, id: "1", name: "f", args: '{"a"', type: "tool_call_chunk" as const }],
      [{ index: 0, args: ":1}", type: "tool_call_chunk" as const }],
    ),
    usage_metadata: fc.constantFrom(undefined, usage),
    id: fc.constantFrom(undefined, "one"),
  },
  { requiredKeys: ["content"] },
)
const build = (fields: readonly object[]) => fields.map((one) => new AIMessageChunk({ ...one }))

describe("joinChunks", () => {
  it("is what LangChain's concat makes of them, one after the other", () => {
    fc.assert(
      fc.property(fc.array(chunkFields, { minLength: 1, maxLength: 12 }), (fields) => {
        const [first, ...others] = build(fields) as [AIMessageChunk, ...AIMessageChunk[]]
        const expected = others.reduce((whole, chunk) => whole.concat(chunk), first)
        expect(joinChunks(build(fields))?.toJSON()).toEqual(expected.toJSON())
      }),
      { numRuns: 300 },
    )
  })

  it("is nothing where there are none, and changes none", () => {
    expect(joinChunks([])).toBeUndefined()
    const chunks = build([{ content: "a" }, { content: "b" }, { content: "c" }])
    expect(joinChunks(chunks)?.text).toBe("abc")
    expect(chunks.map(({ text }) => text)).toEqual(["a", "b", "c"])
  })
})
