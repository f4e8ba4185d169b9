import type { Serialized } from "@langchain/core/load/serializable"
import { describe, expect, it } from "vitest"
import { answersOf, calledModel, outputLimitOf, sizeBeside } from "./called-model.ts"

const serialized: Serialized = { lc: 1, type: "not_implemented", id: ["langchain", "ChatX"] }
const sending = (invocation_params: object, metadata = {}) =>
  calledModel(serialized, { invocation_params }, metadata)

describe("calledModel", () => {
  it("takes the names that LangChain traces, else the one that is sent", () => {
    const traced = { ls_provider: "OpenAI", ls_model_name: "gpt-5", tierwise_deployment: "eu" }
    expect(sending({ model: "alias" }, traced)).toMatchObject({
      provider: "openai",
      name: "gpt-5",
      deployment: "eu",
    })
    expect(sending({ model: "alias" })).toMatchObject({ provider: undefined, name: "alias" })
    expect(sending({ model_name: "old" }).name).toBe("old")
    expect(calledModel(serialized, undefined)).toMatchObject({ name: undefined, invocationParams: {} })
  })
})

describe("outputLimitOf", () => {
  it.each<[string, object]>([
    ["OpenAI, Anthropic", { max_tokens: 70 }],
    ["OpenAI's reasoning models", { max_completion_tokens: 70 }],
    ["OpenAI Responses", { max_output_tokens: 70 }],
    ["Ollama", { options: { num_predict: 70 } }],
    ["Google", { generationConfig: { maxOutputTokens: 70 } }],
    ["Bedrock", { inferenceConfig: { maxTokens: 70 } }],
    ["two caps", { max_tokens: 60, max_completion_tokens: 70 }],
  ])("finds the cap of %s", (_, params) => {
    expect(outputLimitOf(sending(params))).toBe(70)
  })

  it("believes LangChain's trace where no cap is sent that it knows, and takes none for none", () => {
    expect(outputLimitOf(sending({ tokens_to_make: 70 }, { ls_max_tokens: 70 }))).toBe(70)
    // Ollama: as long as it likes.
    expect(outputLimitOf(sending({ options: { num_predict: -1 } }))).toBeUndefined()
    expect(outputLimitOf(sending({ max_tokens: null, options: null }))).toBeUndefined()
  })
})

describe("answersOf", () => {
  it.each([
    [{}, 1],
    [{ n: 3 }, 3],
    [{ n: 2, best_of: 5 }, 5],
    [{ candidateCount: 4 }, 4],
    [{ n: 0 }, 1],
    [{ n: "3" }, 1],
  ])("of %o is %i", (params, answers) => {
    expect(answersOf(sending(params))).toBe(answers)
  })
})

describe("sizeBeside", () => {
  const tool = { name: "add", description: "adds", parameters: { type: "object" } }

  it("counts tools and schemas, with what templates write around them", () => {
    const json = JSON.stringify([tool, tool])
    const size = sizeBeside(sending({ tools: [tool, tool] }))
    expect(size.bytes).toBeGreaterThan(json.length + 640)
    expect(size.tokens).toBeGreaterThan(26)
    const schema = sizeBeside(sending({ response_format: { type: "json_schema", json_schema: tool } }))
    expect(schema.tokens).toBeGreaterThan(12)
  })

  it("counts all words into the bound, and those of no tool or schema into nothing else", () => {
    const documents = [{ text: "x".repeat(1_000) }]
    const size = sizeBeside(sending({ documents, system: "y".repeat(1_000) }))
    expect(size.bytes).toBeGreaterThan(2_000)
    expect(size.tokens).toBe(0)
  })

  it("counts no numbers, switches, empty lists of tools, or what cannot be sent", () => {
    const cycle: Record<string, unknown> = {}
    cycle["self"] = cycle
    expect(sizeBeside(sending({ temperature: 0.5, stream: true, seed: null, cycle }))).toEqual({
      tokens: 0,
      bytes: 0,
    })
    expect(sizeBeside(sending({ tools: [], text: {} }))).toMatchObject({ tokens: 0 })
  })
})
