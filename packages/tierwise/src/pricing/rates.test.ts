import { describe, expect, it } from "vitest"
import type { Price } from "../spec/catalog.ts"
import { ConfigError } from "../spec/errors.ts"
import { ratesAt, ratesOf } from "./rates.ts"

const flat = (input: number, output: number) => ({
  input,
  output,
  cachedInput: input,
  cacheWrite: input,
  cacheWrite1h: input,
  inputAudio: input,
  inputImage: input,
  reasoning: output,
  outputAudio: output,
  outputImage: output,
  steps: [],
})

describe("ratesOf", () => {
  it("turns a published price into whole pico-USD per token", () => {
    const price = { inputPerMTok: 0.15, outputPerMTok: 0.6, cachedInputPerMTok: 0.0375 }
    expect(ratesOf(price, "price")).toMatchObject({ input: 150_000, output: 600_000, cachedInput: 37_500 })
  })

  it("charges a part that has no price of its own as the whole it is part of", () => {
    expect(ratesOf({ inputPerMTok: 1, outputPerMTok: 2 }, "p")).toEqual({ ...flat(1_000_000, 2_000_000) })
    expect(ratesOf({ inputPerMTok: 1, outputPerMTok: 2, cacheWritePerMTok: 1.25 }, "p")).toMatchObject({
      cacheWrite: 1_250_000,
      cacheWrite1h: 1_250_000,
    })
  })

  it("takes a price for every part that has one", () => {
    const price = {
      inputPerMTok: 1,
      outputPerMTok: 2,
      cachedInputPerMTok: 3,
      cacheWritePerMTok: 4,
      cacheWrite1hPerMTok: 5,
      inputAudioPerMTok: 6,
      inputImagePerMTok: 7,
      reasoningPerMTok: 8,
      outputAudioPerMTok: 9,
      outputImagePerMTok: 10,
    }
    expect(ratesOf(price, "p")).toEqual({
      input: 1e6,
      output: 2e6,
      cachedInput: 3e6,
      cacheWrite: 4e6,
      cacheWrite1h: 5e6,
      inputAudio: 6e6,
      inputImage: 7e6,
      reasoning: 8e6,
      outputAudio: 9e6,
      outputImage: 10e6,
      steps: [],
    })
  })

  it("multiplies every figure, those of long contexts too, for batch prices and surcharges", () => {
    const price = {
      inputPerMTok: 0.15,
      outputPerMTok: 0.6,
      cachedInputPerMTok: 0.075,
      multiplier: 0.5,
      longContext: { inputPerMTok: 0.3, outputPerMTok: 0.9, aboveInputTokens: 1_000 },
    }
    expect(ratesOf(price, "p")).toMatchObject({
      input: 75_000,
      output: 300_000,
      cachedInput: 37_500,
      steps: [{ input: 150_000, output: 450_000, aboveInputTokens: 1_000 }],
    })
  })

  it("sorts the steps of a long context, and takes the highest that an input is above", () => {
    const step = (aboveInputTokens: number, inputPerMTok: number) => ({
      aboveInputTokens,
      inputPerMTok,
      outputPerMTok: 1,
    })
    const longContext = [step(256, 3), step(32, 2)]
    const rates = ratesOf({ inputPerMTok: 1, outputPerMTok: 1, longContext }, "p")
    const at = (tokens: number) => ratesAt(rates, tokens).input / 1e6
    expect([0, 32, 33, 256, 257].map(at)).toEqual([1, 1, 2, 2, 3])
  })

  it("prices a self-hosted model by cost weight times the base [E8.price-cost-weight]", () => {
    const [light, heavy] = [ratesOf({ costWeight: 1 }, "p"), ratesOf({ costWeight: 10 }, "p")]
    expect(heavy.output).toBe(10 * light.output)
    expect(light).toEqual(flat(100_000, 100_000))
    expect(ratesOf({ costWeight: 3, base: 0.2 }, "p").input).toBe(600_000)
  })

  it("prices a self-hosted model by GPU-second [E8.price-gpu-second]", () => {
    // 0.36 USD an hour at 50 tokens a second: 0.0001 / 50 = 2e-6 USD per output token.
    const rates = ratesOf({ perGpuSecond: 0.0001, outputTokensPerSecond: 50 }, "p")
    expect(rates.output).toBe(2_000_000)
    expect(rates.input).toBe(100_000)
  })

  it("takes the reading speed of a self-hosted model where it is said", () => {
    const price = { perGpuSecond: 0.0001, outputTokensPerSecond: 50, inputTokensPerSecond: 500 }
    expect(ratesOf(price, "p")).toEqual(flat(200_000, 2_000_000))
  })

  it("rounds a rate up, never down", () => {
    expect(ratesOf({ inputPerMTok: 1e-7, outputPerMTok: 0.1234561 }, "p")).toMatchObject({
      input: 1,
      output: 123_457,
    })
    // 0.0001 USD a second at 3 tokens a second out and 60 in: 33,333,333.3 and 1,666,666.7 pico-USD.
    expect(ratesOf({ perGpuSecond: 0.0001, outputTokensPerSecond: 3 }, "p")).toMatchObject({
      input: 1_666_667,
      output: 33_333_334,
    })
    expect(ratesOf({ perGpuSecond: 0.0001, outputTokensPerSecond: 7 }, "p").input).toBe(714_286)
  })

  it("charges nothing only where the user says so", () => {
    expect(ratesOf("free", "p")).toEqual(flat(0, 0))
  })

  it.each<[string, Price, string]>([
    ["a negative price", { inputPerMTok: -1, outputPerMTok: 1 }, "p.inputPerMTok"],
    ["a price that is no number", { inputPerMTok: 1, outputPerMTok: Number.NaN }, "p.outputPerMTok"],
    ["a price without end", { inputPerMTok: Number.POSITIVE_INFINITY, outputPerMTok: 1 }, "p.inputPerMTok"],
    ["a missing figure", { inputPerMTok: 1 } as never, "p.outputPerMTok"],
    [
      "a long context that begins at nothing",
      {
        inputPerMTok: 1,
        outputPerMTok: 1,
        longContext: { inputPerMTok: 2, outputPerMTok: 2, aboveInputTokens: 0 },
      },
      "p.longContext.aboveInputTokens",
    ],
    [
      "a negative price of a long context",
      {
        inputPerMTok: 1,
        outputPerMTok: 1,
        longContext: { inputPerMTok: -2, outputPerMTok: 2, aboveInputTokens: 5 },
      },
      "p.longContext.inputPerMTok",
    ],
    [
      "a step in the middle of a token",
      {
        inputPerMTok: 1,
        outputPerMTok: 1,
        longContext: [{ inputPerMTok: 2, outputPerMTok: 2, aboveInputTokens: 5.5 }],
      },
      "p.longContext[0].aboveInputTokens",
    ],
    [
      "a negative price of a part",
      { inputPerMTok: 1, outputPerMTok: 1, cacheWrite1hPerMTok: -1 },
      "p.cacheWrite1hPerMTok",
    ],
    [
      "a misspelt figure, which would be charged as if it were not there",
      { inputPerMTok: 1, outputPerMTok: 1, cachedInputPerMtok: 0.1 } as never,
      "p.cachedInputPerMtok",
    ],
    [
      "a misspelt figure of a long context",
      {
        inputPerMTok: 1,
        outputPerMTok: 1,
        longContext: { aboveInputTokens: 5, inputPerMTok: 2, outputPerMTok: 2, multiplier: 2 } as never,
      },
      "p.longContext.multiplier",
    ],
    ["a figure of another form of price", { costWeight: 1, outputPerMTok: 1 }, "p.outputPerMTok"],
    [
      "a misspelt speed",
      { perGpuSecond: 1, outputTokensPerSecond: 5, inputTokensPerSec: 9 } as never,
      "p.inputTokensPerSec",
    ],
    [
      "two steps at one length",
      {
        inputPerMTok: 1,
        outputPerMTok: 1,
        longContext: [7, 5, 7].map((aboveInputTokens) => ({
          aboveInputTokens,
          inputPerMTok: 2,
          outputPerMTok: 2,
        })),
      },
      "p.longContext[2].aboveInputTokens",
    ],
    ["dollars per token", { inputPerMTok: 150_000, outputPerMTok: 1 }, "p.inputPerMTok"],
    ["a multiplier of zero", { inputPerMTok: 1, outputPerMTok: 1, multiplier: 0 }, "p.multiplier"],
    ["a multiplier in percent", { inputPerMTok: 1, outputPerMTok: 1, multiplier: 150 }, "p.multiplier"],
    ["half a picture", { inputPerMTok: 1, outputPerMTok: 1, maxImageTokens: 0.5 }, "p.maxImageTokens"],
    ["a weight of zero", { costWeight: 0 }, "p.costWeight"],
    ["a base of zero", { costWeight: 1, base: 0 }, "p.base"],
    ["a GPU for nothing", { perGpuSecond: 0, outputTokensPerSecond: 50 }, "p.perGpuSecond"],
    ["a GPU without speed", { perGpuSecond: 1, outputTokensPerSecond: 0 }, "p.outputTokensPerSecond"],
  ])("refuses %s by its path", (_, price, path) => {
    expect(() => ratesOf(price, "p")).toThrow(expect.objectContaining({ constructor: ConfigError, path }))
  })

  it("says which figure a misspelt one was meant to be", () => {
    const price = { inputPerMTok: 1, outputPerMTok: 1, cachedInputPerMtok: 0.1 } as never
    expect(() => ratesOf(price, "p")).toThrow("write cachedInputPerMTok")
  })
})
