import { AIMessage, AIMessageChunk, HumanMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { readFeatures } from "../features/read-features.ts"
import type { Piece } from "../langchain/piece.ts"
import { ratesOf } from "../pricing/rates.ts"
import { nanoUsd } from "../spec/money.ts"
import { estimateTokens } from "../tokens/estimate-tokens.ts"
import { meterAnswer } from "./meter-answer.ts"

const rates = ratesOf({ inputPerMTok: 1, outputPerMTok: 10 }, "p")
const { features } = readFeatures({ messages: [new HumanMessage("Tell me about the lighthouse")] })
const { inputTokens } = features
const quote = { money: nanoUsd(1_234_567), tokens: 140 }
const said = (content: string): Piece => ({ message: new AIMessageChunk(content) })
const reporting = (input: number, output: number): Piece => ({
  message: Object.assign(new AIMessageChunk(""), {
    usage_metadata: { input_tokens: input, output_tokens: output, total_tokens: input + output },
  }),
})

function metered(...pieces: readonly Piece[]) {
  const meter = meterAnswer({ features, rates, quote, maxOutputTokens: 40 })
  for (const piece of pieces) meter.see(piece)
  return meter
}

describe("meterAnswer", () => {
  it("bills what the provider reported, over all pieces, whatever the words would count as", () => {
    const pieces = [reporting(100, 1), said("word ".repeat(50)), reporting(0, 6)]
    const { usage, cost } = metered(...pieces).read("answered", false)
    expect(usage).toMatchObject({ inputTokens: 100, outputTokens: 7, estimated: false })
    expect(cost).toBe(100 * 1_000 + 7 * 10_000)
  })

  it("counts the words itself where the provider reported nothing, and says so", () => {
    const outputTokens = estimateTokens("The light burns all night.")
    const { usage, cost } = metered(...["The light", " burns all", " night."].map(said)).read(
      "answered",
      false,
    )
    expect(usage).toMatchObject({ inputTokens, outputTokens, estimated: true })
    expect(outputTokens).toBeGreaterThan(3)
    expect(cost).toBe(inputTokens * 1_000 + outputTokens * 10_000)
  })

  it("counts no more words than the output cap lets through", () => {
    expect(metered(said("word ".repeat(500))).read("answered", false).usage?.outputTokens).toBe(40)
  })

  it("is free for a call that nobody can have billed", () => {
    expect(metered().read("failed", false)).toEqual({ usage: undefined, cost: 0 })
  })

  it("books the whole quote for a call that was sent and died in silence", () => {
    expect(metered().read("failed", true)).toMatchObject({
      usage: { inputTokens: 100, outputTokens: 40, estimated: true },
      cost: quote.money,
    })
  })

  it("books the whole quote for an answer whose words the model's package threw away", () => {
    const lost: Piece = { message: new AIMessage(""), parseError: "no JSON", unseen: true }
    expect(metered(lost).read("answered", false)).toMatchObject({
      usage: { inputTokens: 100, outputTokens: 40, estimated: true },
      cost: quote.money,
    })
  })

  it("bills the words of a stream that broke before anything was reported", () => {
    const outputTokens = estimateTokens("The light burns")
    expect(metered(said("The light burns")).read("failed", true)).toMatchObject({
      usage: { inputTokens, outputTokens, estimated: true },
      cost: inputTokens * 1_000 + outputTokens * 10_000,
    })
  })

  it("bills the words of a stream that broke after its input was reported, which is what providers report first", () => {
    const words = "The light burns all night, and the keeper sleeps."
    const outputTokens = estimateTokens(words)
    expect(metered(reporting(100, 1), said(words)).read("failed", true)).toMatchObject({
      usage: { inputTokens: 100, outputTokens, estimated: true },
      cost: 100 * 1_000 + outputTokens * 10_000,
    })
    expect(metered(reporting(100, 30), said("Hi")).read("failed", true).usage?.outputTokens).toBe(30)
  })
})
