import { HumanMessage, SystemMessage } from "@langchain/core/messages"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readFeatures } from "../features/read-features.ts"
import { NO_USAGE } from "../spec/usage.ts"
import { costOf } from "./cost.ts"
import { DEFAULT_MEDIA_TOKENS, quote } from "./quote.ts"
import { ratesOf } from "./rates.ts"

const rates = ratesOf({ inputPerMTok: 0.15, outputPerMTok: 0.6, cacheWritePerMTok: 0.1875 }, "p")
const options = {
  maxOutputTokens: 500,
  quoteInput: "upper-bound",
  mediaTokens: DEFAULT_MEDIA_TOKENS,
} as const
const featuresOf = (text: string) =>
  readFeatures({ messages: [new SystemMessage("Be brief."), new HumanMessage(text)] }).features

describe("quote", () => {
  it("is at least what any usage inside it can cost [A1.estimate-before] [C8.cost-prediction]", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 300 }),
        fc.nat(500),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (text, outputTokens, share) => {
          const features = featuresOf(text)
          const inputTokens = features.inputBytes
          const usage = {
            ...NO_USAGE,
            inputTokens,
            outputTokens,
            cacheWriteTokens: Math.floor(inputTokens * share),
          }
          const { money, tokens } = quote(features, rates, options)
          expect(money).toBeGreaterThanOrEqual(costOf(usage, rates))
          expect(tokens).toBeGreaterThanOrEqual(inputTokens + outputTokens)
        },
      ),
    )
  })

  it("is tighter when the user takes the estimate instead of the bytes", () => {
    const features = featuresOf("a plain English sentence, repeated. ".repeat(50))
    const [strict, estimated] = [
      quote(features, rates, options),
      quote(features, rates, { ...options, quoteInput: "estimated" }),
    ]
    expect(estimated.money).toBeLessThan(strict.money)
  })

  it("lets every one of n answers fill the output cap", () => {
    const features = featuresOf("x")
    const one = quote(features, rates, options)
    const three = quote(features, rates, { ...options, completions: 3 })
    expect(three.tokens - one.tokens).toBe(1_000)
  })

  it("bounds pictures by their configured figure, not by their bytes", () => {
    const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${"A".repeat(400_000)}` } }
    const { features } = readFeatures({ messages: [new HumanMessage({ content: [picture] })] })
    expect(quote(features, rates, options).tokens).toBeLessThan(10_000)
    expect(quote(features, rates, options).tokens).toBeGreaterThanOrEqual(4_800 + 500)
  })
})
