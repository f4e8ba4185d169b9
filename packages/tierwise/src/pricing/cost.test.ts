import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { NO_USAGE, type Usage } from "../spec/usage.ts"
import { costOf, priced } from "./cost.ts"
import { ratesOf } from "./rates.ts"

const used = (fields: Partial<Usage>): Usage => ({ ...NO_USAGE, estimated: false, ...fields })

describe("costOf", () => {
  it("agrees with a bill worked out by hand", () => {
    // gpt-4o-mini, 1,234 in of which 1,000 cached, 567 out:
    // 234 × 0.15e-6 + 1000 × 0.075e-6 + 567 × 0.6e-6 = 0.0000351 + 0.000075 + 0.0003402 = 0.0004503 USD
    const rates = ratesOf({ inputPerMTok: 0.15, outputPerMTok: 0.6, cachedInputPerMTok: 0.075 }, "p")
    const usage = used({ inputTokens: 1_234, cachedInputTokens: 1_000, outputTokens: 567 })
    expect(costOf(usage, rates)).toBe(450_300)
  })

  it("charges cache writes and cache reads at their own rates", () => {
    const rates = ratesOf(
      { inputPerMTok: 3, outputPerMTok: 15, cachedInputPerMTok: 0.3, cacheWritePerMTok: 3.75 },
      "p",
    )
    // 100 × 3,000 + 600 × 300 + 300 × 3,750 + 10 × 15,000 NanoUsd
    const usage = used({
      inputTokens: 1_000,
      cachedInputTokens: 600,
      cacheWriteTokens: 300,
      outputTokens: 10,
    })
    expect(costOf(usage, rates)).toBe(300_000 + 180_000 + 1_125_000 + 150_000)
  })

  it("charges the whole call at the rates of a long context, once its input is longer than that", () => {
    const price = {
      inputPerMTok: 1,
      outputPerMTok: 10,
      longContext: { inputPerMTok: 2, outputPerMTok: 15, cachedInputPerMTok: 0.2, aboveInputTokens: 1_000 },
    }
    const rates = ratesOf(price, "p")
    expect(costOf(used({ inputTokens: 1_000, outputTokens: 1 }), rates)).toBe(1_000_000 + 10_000)
    expect(costOf(used({ inputTokens: 1_001, outputTokens: 1 }), rates)).toBe(2_002_000 + 15_000)
    const cached = used({ inputTokens: 1_001, cachedInputTokens: 1_001 })
    expect(costOf(cached, rates)).toBe(1_001 * 200)
  })

  it("never pays back what a provider reports as cached beyond its input", () => {
    const rates = ratesOf({ inputPerMTok: 3, outputPerMTok: 15, cachedInputPerMTok: 0.3 }, "p")
    expect(costOf(used({ inputTokens: 10, cachedInputTokens: 100 }), rates)).toBe(30_000)
  })

  it("does not charge reasoning tokens twice: they are part of the output", () => {
    const rates = ratesOf({ inputPerMTok: 1, outputPerMTok: 2 }, "p")
    const usage = used({ outputTokens: 100 })
    expect(costOf({ ...usage, reasoningTokens: 80 }, rates)).toBe(costOf(usage, rates))
  })

  it("rounds once, up: a call that costs anything costs at least one NanoUsd", () => {
    expect(priced(1)).toBe(1)
    expect(priced(1_000)).toBe(1)
    expect(priced(1_001)).toBe(2)
  })

  it("never grows when tokens come from the cache instead, if the cache is cheaper", () => {
    const rates = ratesOf({ inputPerMTok: 3, outputPerMTok: 15, cachedInputPerMTok: 0.3 }, "p")
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(1_000_000), fc.nat(100_000), (a, b, outputTokens) => {
        const [inputTokens, cachedInputTokens] = [Math.max(a, b), Math.min(a, b)]
        const cold = costOf(used({ inputTokens, outputTokens }), rates)
        expect(costOf(used({ inputTokens, cachedInputTokens, outputTokens }), rates)).toBeLessThanOrEqual(
          cold,
        )
      }),
    )
  })

  it("refuses a cost that integers cannot hold", () => {
    const rates = ratesOf({ inputPerMTok: 1e6, outputPerMTok: 1e6 }, "p")
    expect(() => costOf(used({ inputTokens: 1e9 }), rates)).toThrow("money")
    expect(() => priced(2 ** 53)).toThrow("money")
  })
})
