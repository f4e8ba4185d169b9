import { HumanMessage, SystemMessage } from "@langchain/core/messages"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readFeatures } from "../features/read-features.ts"
import { ConfigError } from "../spec/errors.ts"
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

  it("holds at the dearest of several steps that the input may reach, and of none beyond", () => {
    const features = featuresOf("word ".repeat(100))
    const step = (aboveInputTokens: number, inputPerMTok: number) => ({
      aboveInputTokens,
      inputPerMTok,
      outputPerMTok: 0,
    })
    const held = (...longContext: readonly ReturnType<typeof step>[]) =>
      quote(features, ratesOf({ inputPerMTok: 1, outputPerMTok: 0, longContext }, "p"), options).money
    const { inputBytes } = features
    expect(held(step(10, 5), step(20, 3))).toBe(inputBytes * 5_000)
    expect(held(step(10, 2), step(inputBytes - 1, 3))).toBe(inputBytes * 3_000)
    expect(held(step(10, 2), step(inputBytes, 3))).toBe(inputBytes * 2_000)
  })

  it.each([
    ["reasoning", { reasoningPerMTok: 9 }],
    ["speech", { outputAudioPerMTok: 9 }],
    ["pictures", { outputImagePerMTok: 9 }],
  ])("holds the output at the rate of %s where that is the dearest", (_, part) => {
    const dear = ratesOf({ inputPerMTok: 0, outputPerMTok: 1, ...part }, "p")
    expect(quote(featuresOf("x"), dear, options).money).toBe(500 * 9_000)
  })

  it("holds pictures, clips and files at the rates they may be billed at, and words at their own", () => {
    const price = { inputPerMTok: 1, outputPerMTok: 0, inputImagePerMTok: 5, inputAudioPerMTok: 32 }
    const held = (media: object) =>
      quote({ ...featuresOf("x"), ...media }, ratesOf(price, "p"), options).money - words
    const words = quote(featuresOf("x"), ratesOf(price, "p"), options).money
    expect(words).toBe(featuresOf("x").inputBytes * 1_000)
    expect(held({ images: 1 })).toBe(4_800 * 5_000)
    expect(held({ audioClips: 1 })).toBe(20_000 * 32_000)
    expect(held({ files: 1 })).toBe(100_000 * 32_000)
  })

  it("bounds a picture as the model's price says, where that counts pictures in its own way", () => {
    const own = ratesOf({ inputPerMTok: 0.15, outputPerMTok: 0.6, maxImageTokens: 48_169 }, "p")
    const features = featuresOf("x")
    const picture =
      quote({ ...features, images: 2 }, own, options).tokens - quote(features, own, options).tokens
    expect(picture).toBe(2 * 48_169)
  })

  it("refuses a call dearer than integers can hold, instead of holding too little", () => {
    const dear = ratesOf({ inputPerMTok: 100_000, outputPerMTok: 100_000 }, "p")
    const most = { ...options, maxOutputTokens: 100_000 }
    expect(() => quote(featuresOf("x"), dear, most)).toThrow(ConfigError)
  })

  it("is never less than the cost of any usage that fits in it, at any price", () => {
    const usd = fc.nat(50_000_000).map((micro) => micro / 1e6)
    const figures = fc.record({
      inputPerMTok: usd,
      outputPerMTok: usd,
      cachedInputPerMTok: usd,
      cacheWritePerMTok: usd,
      cacheWrite1hPerMTok: usd,
      inputAudioPerMTok: usd,
      inputImagePerMTok: usd,
      reasoningPerMTok: usd,
      outputAudioPerMTok: usd,
      outputImagePerMTok: usd,
    })
    const steps = fc.uniqueArray(
      fc.tuple(figures, fc.integer({ min: 1, max: 30_000 })).map(([price, aboveInputTokens]) => ({
        ...price,
        aboveInputTokens,
      })),
      { maxLength: 3, selector: ({ aboveInputTokens }) => aboveInputTokens },
    )
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    const shares = fc.tuple(share, share, share, share, share, share, share, share)
    const media = fc.record({ images: fc.nat(2), audioClips: fc.nat(1) })
    fc.assert(
      fc.property(figures, steps, shares, media, fc.nat(2_000), (price, longContext, part, seen, bytes) => {
        const rates = ratesOf({ ...price, longContext }, "p")
        const features = { ...featuresOf("x"), ...seen, inputBytes: bytes }
        const { money, tokens } = quote(features, rates, options)
        const most = { images: seen.images * 4_800, clips: seen.audioClips * 20_000 }
        const of = (index: number, whole: number) => Math.floor((part[index] ?? 0) * whole)
        const inputImageTokens = of(0, most.images)
        const inputAudioTokens = of(1, most.clips)
        const words = of(2, tokens - 500 - most.images - most.clips)
        const usage = {
          ...NO_USAGE,
          inputTokens: words + inputImageTokens + inputAudioTokens,
          inputImageTokens,
          inputAudioTokens,
          cachedInputTokens: of(3, words),
          cacheWriteTokens: of(4, words - of(3, words)),
          cacheWrite1hTokens: of(5, of(4, words - of(3, words))),
          outputTokens: 500,
          reasoningTokens: of(6, 500),
          outputAudioTokens: of(7, 500 - of(6, 500)),
        }
        expect(money).toBeGreaterThanOrEqual(costOf(usage, rates))
      }),
    )
  })

  it.each([
    ["a cache write", { cacheWritePerMTok: 2 }],
    ["a cache write for an hour", { cacheWrite1hPerMTok: 2 }],
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
    ["a clip sent inline", { audioClips: 1, mediaBytes: 30_001 }, 20_000 + 1_876],
    ["a clip beside a file", { audioClips: 1, files: 1, mediaBytes: 30_000 }, 150_000],
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
