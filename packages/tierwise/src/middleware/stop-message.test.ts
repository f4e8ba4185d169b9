import { AIMessage, type AIMessageFields } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import type { Refusal } from "../spec/budget.ts"
import { nanoUsd } from "../spec/money.ts"
import { accountIn, errorFor, exhaustionOf, questionFor, stopMessage } from "./stop-message.ts"

const refusal: Refusal = {
  scope: "thread:a:b",
  window: "total",
  unit: "NanoUsd",
  limit: 2e9,
  remaining: 5e8,
  resetsAt: undefined,
}
const quote = { money: nanoUsd(1e9), tokens: 77 }

describe("a stop message", () => {
  it("says what an error would, and is known again after a checkpoint", () => {
    const message = stopMessage(refusal, quote, "ask", "m-1")
    const { content, response_metadata } = message
    const stored = new AIMessage(
      JSON.parse(JSON.stringify({ content, response_metadata })) as AIMessageFields,
    )
    const exhaustion = exhaustionOf(stored)
    expect(exhaustion).toEqual({ refusal, quote, onExhausted: "ask" })
    expect(message.text).toBe(errorFor({ refusal, quote, onExhausted: "ask" }).message)
    expect(exhaustionOf(new AIMessage("Hello"))).toBeUndefined()
    expect(exhaustionOf(undefined)).toBeUndefined()
  })

  it("becomes a question in dollars, or in tokens", () => {
    expect(questionFor({ refusal, quote, onExhausted: "ask" })).toMatchObject({
      scope: "thread",
      id: "a:b",
      unit: "usd",
      limit: 2,
      remaining: 0.5,
      wanted: 1,
    })
    const inTokens = { ...refusal, unit: "tokens", limit: 90, remaining: 13 } as const
    expect(questionFor({ refusal: inTokens, quote, onExhausted: "ask" })).toMatchObject({
      unit: "tokens",
      limit: 90,
      remaining: 13,
      wanted: 77,
    })
  })

  it("names the account by its whole id", () => {
    expect(accountIn(refusal)).toEqual({ scope: "thread", id: "a:b" })
  })
})
