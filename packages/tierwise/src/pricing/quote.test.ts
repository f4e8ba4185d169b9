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
    // 1,000 tokens at 0.60 USD per million.
    expect(three.money - one.money).toBe(600_000)
  })

  it("holds at the dearer of the rates that a long input may come to", () => {
    const features = featuresOf("word ".repeat(100))
    const [short, long] = [
      { inputPerMTok: 1, outputPerMTok: 10 },
      { inputPerMTok: 2, outputPerMTok: 20 },
    ]
    const held = (aboveInputTokens: number, base = short, above = long) =>
      quote(features, ratesOf({ ...base, longContext: { ...above, aboveInputTokens } }, "p"), options).money
    const at = (price: typeof short) => quote(features, ratesOf(price, "p"), options).money
    expect(held(features.inputBytes)).toBe(at(short))
    expect(held(features.inputBytes - 1)).toBe(at(long))
    // The bound is beyond the step, the real input may not be.
    expect(held(features.inputBytes - 1, long, short)).toBe(at(long))
  })

  it.each([
    ["a cache write", { cacheWritePerMTok: 2 }],
    ["a cache read", { cachedInputPerMTok: 2 }],
  ])("holds the input at the rate of %s where that is the dearest", (_, cache) => {
    const features = featuresOf("x")
    const dear = ratesOf({ inputPerMTok: 1, outputPerMTok: 0, ...cache }, "p")
    expect(quote(features, dear, options).money).toBe(features.inputBytes * 2_000)
  })

  it.each([
    ["a picture", { images: 1 }, 4_800],
    ["a clip behind a URL", { audioClips: 1 }, 20_000],
    ["a file behind a URL", { files: 1 }, 100_000],
    ["a clip sent inline", { audioClips: 1, mediaBytes: 30_000 }, 50_000],
    ["a file sent inline", { files: 1, mediaBytes: 250_000 }, 350_000],
    ["a file behind a URL beside one sent inline", { files: 2, mediaBytes: 190_000 }, 390_000],
    ["a picture sent inline", { images: 1, mediaBytes: 400_000 }, 4_800],
  ])("counts %s at its bound", (_, media, tokens) => {
    const features = featuresOf("See this")
    const bounded = quote({ ...features, ...media }, rates, options)
    expect(bounded.tokens - quote(features, rates, options).tokens).toBe(tokens)
  })

  it("bounds pictures by their configured figure, not by their bytes", () => {
    const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${"A".repeat(400_000)}` } }
    const { features } = readFeatures({ messages: [new HumanMessage({ content: [picture] })] })
    expect(quote(features, rates, options).tokens).toBeLessThan(10_000)
    expect(quote(features, rates, options).tokens).toBeGreaterThanOrEqual(4_800 + 500)
  })
})
