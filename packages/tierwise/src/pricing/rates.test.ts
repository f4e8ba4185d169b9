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
    expect(ratesOf({ costWeight: 3, base: 0.2 }, "p").input).toBe(600_000)
  })

  it("prices a self-hosted model by GPU-second [E8.price-gpu-second]", () => {
    // 0.36 USD an hour at 50 tokens a second: 0.0001 / 50 = 2e-6 USD per output token.
    const rates = ratesOf({ perGpuSecond: 0.0001, outputTokensPerSecond: 50 }, "p")
    expect(rates.output).toBe(2_000_000)
    expect(rates.input).toBe(100_000)
  })

  it("charges nothing only where the user says so", () => {
    expect(ratesOf("free", "p")).toEqual({ input: 0, output: 0, cachedInput: 0, cacheWrite: 0 })
  })

  it.each<[string, Price, string]>([
    ["a negative price", { inputPerMTok: -1, outputPerMTok: 1 }, "p.inputPerMTok"],
    ["a price that is no number", { inputPerMTok: 1, outputPerMTok: Number.NaN }, "p.outputPerMTok"],
    ["a missing figure", { inputPerMTok: 1 } as never, "p.outputPerMTok"],
    ["a weight of zero", { costWeight: 0 }, "p.costWeight"],
    ["a GPU without speed", { perGpuSecond: 1, outputTokensPerSecond: 0 }, "p.outputTokensPerSecond"],
  ])("refuses %s by its path", (_, price, path) => {
    expect(() => ratesOf(price, "p")).toThrow(expect.objectContaining({ constructor: ConfigError, path }))
  })
})
