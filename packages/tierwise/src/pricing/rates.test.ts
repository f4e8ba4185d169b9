import { describe, expect, it } from "vitest"
import type { Price } from "../spec/catalog.ts"
import { ConfigError } from "../spec/errors.ts"
import { ratesOf } from "./rates.ts"

describe("ratesOf", () => {
  it("turns a published price into whole pico-USD per token", () => {
    const price = { inputPerMTok: 0.15, outputPerMTok: 0.6, cachedInputPerMTok: 0.0375 }
    expect(ratesOf(price, "price")).toEqual({
      input: 150_000,
      output: 600_000,
      cachedInput: 37_500,
      cacheWrite: 150_000,
    })
  })

  it("prices a self-hosted model by cost weight times the base [E8.price-cost-weight]", () => {
    const [light, heavy] = [ratesOf({ costWeight: 1 }, "p"), ratesOf({ costWeight: 10 }, "p")]
    expect(heavy.output).toBe(10 * light.output)
    expect(light).toEqual({ input: 100_000, output: 100_000, cachedInput: 100_000, cacheWrite: 100_000 })
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
    expect(ratesOf(price, "p")).toEqual({
      input: 200_000,
      output: 2_000_000,
      cachedInput: 200_000,
      cacheWrite: 200_000,
    })
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
    expect(ratesOf("free", "p")).toEqual({ input: 0, output: 0, cachedInput: 0, cacheWrite: 0 })
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
    ["a weight of zero", { costWeight: 0 }, "p.costWeight"],
    ["a base of zero", { costWeight: 1, base: 0 }, "p.base"],
    ["a GPU for nothing", { perGpuSecond: 0, outputTokensPerSecond: 50 }, "p.perGpuSecond"],
    ["a GPU without speed", { perGpuSecond: 1, outputTokensPerSecond: 0 }, "p.outputTokensPerSecond"],
  ])("refuses %s by its path", (_, price, path) => {
    expect(() => ratesOf(price, "p")).toThrow(expect.objectContaining({ constructor: ConfigError, path }))
  })
})
