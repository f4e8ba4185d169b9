import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { TokenPrice } from "../spec/catalog.ts"
import { ConfigError } from "../spec/errors.ts"
import { addUsage, NO_USAGE, type Usage } from "../spec/usage.ts"
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

  it("charges what is written to the cache for an hour, heard, seen, thought, said and drawn at their own rates", () => {
    const price = {
      inputPerMTok: 1,
      outputPerMTok: 2,
      cachedInputPerMTok: 0.1,
      cacheWritePerMTok: 1.25,
      cacheWrite1hPerMTok: 2,
      inputAudioPerMTok: 32,
      inputImagePerMTok: 5,
      reasoningPerMTok: 3,
      outputAudioPerMTok: 64,
      outputImagePerMTok: 40,
    }
    const usage = used({
      inputTokens: 1_000,
      cachedInputTokens: 100,
      cacheWriteTokens: 300,
      cacheWrite1hTokens: 200,
      inputAudioTokens: 50,
      inputImageTokens: 10,
      outputTokens: 500,
      reasoningTokens: 100,
      outputAudioTokens: 30,
      outputImageTokens: 20,
    })
    // In: 540 plain + 100 cached + 100 for minutes + 200 for an hour + 50 heard + 10 seen, in NanoUsd each.
    const input = 540 * 1_000 + 100 * 100 + 100 * 1_250 + 200 * 2_000 + 50 * 32_000 + 10 * 5_000
    // Out: 350 plain + 100 thought + 30 said + 20 drawn.
    const output = 350 * 2_000 + 100 * 3_000 + 30 * 64_000 + 20 * 40_000
    expect(costOf(usage, ratesOf(price, "p"))).toBe(input + output)
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

  it("charges no token twice where parts are more than their whole, and then the dearer part", () => {
    const rates = ratesOf(
      { inputPerMTok: 3, outputPerMTok: 15, cachedInputPerMTok: 0.3, inputAudioPerMTok: 30 },
      "p",
    )
    // 10 heard, of which 4 or more were cached: 10 × 30,000 + 2 × 300 NanoUsd.
    const usage = used({ inputTokens: 12, inputAudioTokens: 10, cachedInputTokens: 6 })
    expect(costOf(usage, rates)).toBe(300_000 + 600)
    expect(costOf(used({ inputTokens: 10, cachedInputTokens: 100 }), rates)).toBe(10 * 300)
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

  it("refuses a cost that integers cannot hold", () => {
    const rates = ratesOf({ inputPerMTok: 1e5, outputPerMTok: 1e5 }, "p")
    expect(() => costOf(used({ inputTokens: 1e6 }), rates)).toThrow("money")
    expect(() => priced(2 ** 53)).toThrow("money")
  })

  it.each([
    ["a negative count", { inputTokens: -1, outputTokens: 5 }],
    ["a negative part", { inputTokens: 10, cachedInputTokens: -5 }],
    ["half a token", { inputTokens: 10.000_000_5, outputTokens: 5 }],
    ["no number", { inputTokens: Number.NaN }],
    ["no number in a part", { inputTokens: 10, cacheWriteTokens: 5, cacheWrite1hTokens: Number.NaN }],
    ["a count without end", { outputTokens: Number.POSITIVE_INFINITY }],
  ])("refuses %s", (_, fields) => {
    const rates = ratesOf({ inputPerMTok: 1, outputPerMTok: 1, cachedInputPerMTok: 0.1 }, "p")
    expect(() => costOf(used(fields), rates)).toThrow(ConfigError)
  })
})

const tokens = fc.nat(1_000_000)
const usd = fc.nat(100_000_000).map((micro) => micro / 1e6)

/** A usage as providers make them: parts, and wholes that are at least their sum. */
const usages = fc
  .record({
    plain: tokens,
    cachedInputTokens: tokens,
    cacheWrite5mTokens: tokens,
    cacheWrite1hTokens: tokens,
    inputAudioTokens: tokens,
    inputImageTokens: tokens,
    said: tokens,
    reasoningTokens: tokens,
    outputAudioTokens: tokens,
    outputImageTokens: tokens,
  })
  .map(({ plain, said, cacheWrite5mTokens, ...parts }) => {
    const cacheWriteTokens = cacheWrite5mTokens + parts.cacheWrite1hTokens
    const heard = parts.inputAudioTokens + parts.inputImageTokens
    return used({
      ...parts,
      cacheWriteTokens,
      inputTokens: plain + parts.cachedInputTokens + cacheWriteTokens + heard,
      outputTokens: said + parts.reasoningTokens + parts.outputAudioTokens + parts.outputImageTokens,
    })
  })

const prices = fc.record({
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

/** A part of the whole and the wholes it counts in. */
const KINDS = {
  plain: ["inputTokens"],
  cached: ["inputTokens", "cachedInputTokens"],
  written: ["inputTokens", "cacheWriteTokens"],
  writtenForAnHour: ["inputTokens", "cacheWriteTokens", "cacheWrite1hTokens"],
  heard: ["inputTokens", "inputAudioTokens"],
  seen: ["inputTokens", "inputImageTokens"],
  said: ["outputTokens"],
  thought: ["outputTokens", "reasoningTokens"],
  spoken: ["outputTokens", "outputAudioTokens"],
  drawn: ["outputTokens", "outputImageTokens"],
} as const satisfies Readonly<Record<string, readonly (keyof Usage)[]>>

const kinds = fc.constantFrom(...Object.values(KINDS))

describe("costOf, of any usage and price", () => {
  it("is a whole number, and never less for one token more of any kind", () => {
    fc.assert(
      fc.property(usages, prices, kinds, tokens, (usage, price, fields, more) => {
        const rates = ratesOf(price, "p")
        const grown = { ...usage, ...Object.fromEntries(fields.map((field) => [field, usage[field] + more])) }
        const [before, after] = [costOf(usage, rates), costOf(grown, rates)]
        expect(Number.isSafeInteger(before)).toBe(true)
        expect(after).toBeGreaterThanOrEqual(before)
      }),
    )
  })

  it("of two calls together is theirs added up, but for the rounding", () => {
    fc.assert(
      fc.property(usages, usages, prices, (a, b, price) => {
        const rates = ratesOf(price, "p")
        const apart = costOf(a, rates) + costOf(b, rates)
        const together = costOf(addUsage(a, b) as Usage, rates)
        expect(together).toBeLessThanOrEqual(apart)
        expect(together).toBeGreaterThanOrEqual(apart - 1)
      }),
    )
  })

  it("is what big integers make of it", () => {
    fc.assert(
      fc.property(usages, prices, (usage, price) => {
        expect(costOf(usage, ratesOf(price, "p"))).toBe(Number(exactNano(usage, price)))
      }),
    )
  })

  it("changes its rates exactly at the step of a long context", () => {
    fc.assert(
      fc.property(usages, prices, prices, fc.integer({ min: -2, max: 2 }), (usage, base, long, off) => {
        const aboveInputTokens = Math.max(1, usage.inputTokens + off)
        const rates = ratesOf({ ...base, longContext: { ...long, aboveInputTokens } }, "p")
        const expected = usage.inputTokens > aboveInputTokens ? long : base
        expect(costOf(usage, rates)).toBe(costOf(usage, ratesOf(expected, "p")))
      }),
    )
  })
})

/** The bill in integers without end: every price has at most six decimals. */
function exactNano(usage: Usage, price: { readonly [Name in keyof TokenPrice]-?: number }): bigint {
  const micro = (usdPerMTok: number) => BigInt(Math.round(usdPerMTok * 1e6))
  const lines: readonly (readonly [number, number])[] = [
    [
      usage.inputTokens -
        usage.cachedInputTokens -
        usage.cacheWriteTokens -
        usage.inputAudioTokens -
        usage.inputImageTokens,
      price.inputPerMTok,
    ],
    [usage.cachedInputTokens, price.cachedInputPerMTok],
    [usage.cacheWriteTokens - usage.cacheWrite1hTokens, price.cacheWritePerMTok],
    [usage.cacheWrite1hTokens, price.cacheWrite1hPerMTok],
    [usage.inputAudioTokens, price.inputAudioPerMTok],
    [usage.inputImageTokens, price.inputImagePerMTok],
    [
      usage.outputTokens - usage.reasoningTokens - usage.outputAudioTokens - usage.outputImageTokens,
      price.outputPerMTok,
    ],
    [usage.reasoningTokens, price.reasoningPerMTok],
    [usage.outputAudioTokens, price.outputAudioPerMTok],
    [usage.outputImageTokens, price.outputImagePerMTok],
  ]
  const pico = lines.reduce((sum, [count, usdPerMTok]) => sum + BigInt(count) * micro(usdPerMTok), 0n)
  return (pico + 999n) / 1_000n
}
