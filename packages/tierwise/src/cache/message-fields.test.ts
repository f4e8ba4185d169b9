import { AIMessage, AIMessageChunk } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { areFields, fieldsOf, messageFrom } from "./message-fields.ts"

const usage = { input_tokens: 3, output_tokens: 2, total_tokens: 5 }

describe("a message's fields", () => {
  it("bring everything back through JSON, also what was set after the message was made", () => {
    const message = new AIMessage({
      content: [{ type: "text", text: "Hi", annotations: [{ lc: 1, id: ["x"] }] }],
      additional_kwargs: { reasoning_content: "hm" },
      tool_calls: [{ name: "search", args: { q: "a", lc: 1 }, id: "c1", type: "tool_call" }],
      invalid_tool_calls: [{ name: "broken", args: "{", id: "c2", error: "cut", type: "invalid_tool_call" }],
    })
    message.id = "msg-1"
    message.name = "clerk"
    message.response_metadata = { model_provider: "openai", finish_reason: "stop" }
    Object.assign(message, { usage_metadata: usage })
    expect(throughJson(message)).toEqual(fieldsOf(message))
    expect(throughJson(message)).toMatchObject({
      id: "msg-1",
      name: "clerk",
      usage_metadata: usage,
      response_metadata: { finish_reason: "stop" },
      tool_calls: [{ args: { q: "a", lc: 1 } }],
      invalid_tool_calls: [{ name: "broken" }],
    })
  })

  it("keep the content blocks of output version v1", () => {
    const blocks = [
      { type: "reasoning", reasoning: "hm" },
      { type: "text", text: "Hi" },
    ] as const
    const message = new AIMessage({ contentBlocks: [...blocks], response_metadata: { output_version: "v1" } })
    expect(throughJson(message)).toMatchObject({ content: blocks })
    expect(messageFrom(fieldsOf(message)).contentBlocks).toEqual(blocks)
  })

  it("make a whole message of a joined stream", () => {
    const chunk = new AIMessageChunk({
      content: "",
      tool_call_chunks: [{ name: "search", args: '{"q":', id: "c1", index: 0, type: "tool_call_chunk" }],
    }).concat(
      new AIMessageChunk({
        content: "",
        tool_call_chunks: [{ args: '"a"}', index: 0, type: "tool_call_chunk" }],
      }),
    )
    const message = messageFrom(fieldsOf(chunk))
    expect(message.tool_calls).toMatchObject([{ name: "search", args: { q: "a" }, id: "c1" }])
    expect(AIMessageChunk.isInstance(message)).toBe(false)
  })

  it("share nothing with the message they were read from, nor with those that are made of them", () => {
    const message = new AIMessage({
      content: [{ type: "text", text: "Hi" }],
      response_metadata: { a: { b: 1 } },
    })
    const fields = fieldsOf(message)
    const made = messageFrom(fields)
    Object.assign(message.response_metadata["a"] as object, { b: 2 })
    Object.assign(made.response_metadata["a"] as object, { b: 3 })
    Object.assign((made.content as object[])[0] ?? {}, { text: "Bye" })
    expect(fields).toMatchObject({ content: [{ text: "Hi" }], response_metadata: { a: { b: 1 } } })
  })

  it("are told from what is none", () => {
    const fields = fieldsOf(new AIMessage("Hi"))
    expect(areFields(fields)).toBe(true)
    for (const wrong of [null, "Hi", [], {}, { ...fields, content: 5 }, { ...fields, tool_calls: "no" }]) {
      expect(areFields(wrong)).toBe(false)
    }
  })
})

function throughJson(message: AIMessage): unknown {
  return fieldsOf(messageFrom(JSON.parse(JSON.stringify(fieldsOf(message)))))
}
