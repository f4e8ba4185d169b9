import { ChatAnthropic } from "@langchain/anthropic"
import { ChatTogetherAI } from "@langchain/community/chat_models/togetherai"
import { FakeListChatModel } from "@langchain/core/utils/testing"
import { ChatOllama } from "@langchain/ollama"
import { ChatOpenAI } from "@langchain/openai"
import { describe, expect, it } from "vitest"
import {
  completionsPerCall,
  limitOutput,
  outputLimiter,
  outputLimitObstacle,
  ownOutputLimit,
} from "./limit-output.ts"

const apiKey = "none"
const tool = {
  type: "function",
  function: { name: "f", parameters: { type: "object", properties: {} } },
} as const

describe("limitOutput", () => {
  it("caps each provider's model in its own parameter, and leaves the model itself alone", () => {
    const openai = new ChatOpenAI({ model: "m", apiKey })
    expect(limitOutput(openai, 77).invocationParams({})).toMatchObject({ max_tokens: 77 })
    expect(openai.invocationParams({})).not.toMatchObject({ max_tokens: 77 })

    const responses = new ChatOpenAI({ model: "m", apiKey, useResponsesApi: true })
    expect(limitOutput(responses, 77).invocationParams({})).toMatchObject({ max_output_tokens: 77 })

    const anthropic = new ChatAnthropic({ model: "claude-3-5-haiku-latest", apiKey })
    expect(limitOutput(anthropic, 77).invocationParams({})).toMatchObject({ max_tokens: 77 })

    const ollama = new ChatOllama({ model: "m" })
    expect(limitOutput(ollama, 77).invocationParams({}).options).toMatchObject({ num_predict: 77 })

    const together = new ChatTogetherAI({ model: "m", apiKey })
    expect(limitOutput(together, 77).invocationParams({} as never)).toMatchObject({ max_tokens: 77 })
  })

  it("wins over the completion cap of a reasoning model", () => {
    const model = new ChatOpenAI({ model: "o3-mini", apiKey, maxCompletionTokens: 9_000 })
    expect(limitOutput(model, 77).invocationParams({})).toMatchObject({ max_completion_tokens: 77 })
  })

  it("survives bindTools, which rebuilds ChatOpenAI from its fields", () => {
    const bound = limitOutput(
      new ChatOpenAI({ model: "m", apiKey, maxCompletionTokens: 9_000 }),
      77,
    ).bindTools([tool])
    expect((bound as ChatOpenAI).invocationParams({})).toMatchObject({ max_tokens: 77 })
    const reasoning = new ChatOpenAI({ model: "o3-mini", apiKey, maxCompletionTokens: 9_000 })
    const both = limitOutput(reasoning, 77).bindTools([tool]) as ChatOpenAI
    expect(both.invocationParams({})).toMatchObject({ max_completion_tokens: 77 })
  })

  it("leaves a model without a known limit as it is", () => {
    const model = new FakeListChatModel({ responses: ["x"] })
    expect(limitOutput(model, 77)).toBe(model)
  })

  it("reads the limit the user has set, and not one of -1", () => {
    expect(ownOutputLimit(new ChatOpenAI({ model: "m", apiKey, maxTokens: 12 }))).toBe(12)
    expect(ownOutputLimit(new ChatOpenAI({ model: "m", apiKey, maxTokens: -1 }))).toBeUndefined()
    expect(ownOutputLimit(new ChatOpenAI({ model: "m", apiKey }))).toBeUndefined()
  })
})

describe("completionsPerCall", () => {
  it("is the model's n, and one where it has none that makes sense", () => {
    expect(completionsPerCall(new ChatOpenAI({ model: "m", apiKey, n: 3 }))).toBe(3)
    expect(completionsPerCall(new ChatOpenAI({ model: "m", apiKey, modelKwargs: { n: 4 } }))).toBe(4)
    expect(completionsPerCall(new ChatOpenAI({ model: "m", apiKey }))).toBe(1)
    expect(completionsPerCall(new FakeListChatModel({ responses: ["x"] }))).toBe(1)
  })
})

describe("outputLimitObstacle", () => {
  it("is what keeps a cap from being set from outside", () => {
    class Secretive extends FakeListChatModel {
      readonly #answers = 1
      maxTokens = 5
      answers() {
        return this.#answers
      }
    }
    const past = new ChatOpenAI({ model: "m", apiKey, modelKwargs: { max_completion_tokens: 9 } })
    expect(outputLimitObstacle(new FakeListChatModel({ responses: ["x"] }))).toContain("no maxTokens")
    expect(outputLimitObstacle(past)).toContain("modelKwargs.max_completion_tokens")
    expect(outputLimitObstacle(new Secretive({ responses: ["x"] }))).toContain("#private")
  })

  it("is not there for the providers' own models", () => {
    for (const model of [
      new ChatOpenAI({ model: "m", apiKey, modelKwargs: { seed: 1 } }),
      new ChatAnthropic({ model: "claude-3-5-haiku-latest", apiKey }),
      new ChatOllama({ model: "m" }),
      new ChatTogetherAI({ model: "m", apiKey }),
    ])
      expect(outputLimitObstacle(model)).toBeUndefined()
  })
})

describe("outputLimiter", () => {
  it("keeps a view per model and cap, but not without end", () => {
    const limiter = outputLimiter()
    const model = new ChatOpenAI({ model: "m", apiKey })
    const first = limiter(model, 1)
    expect(limiter(model, 1)).toBe(first)
    expect(limiter(model, 2)).not.toBe(first)
    for (let cap = 3; cap < 40; cap++) limiter(model, cap)
    expect(limiter(model, 1)).not.toBe(first)
  })
})
