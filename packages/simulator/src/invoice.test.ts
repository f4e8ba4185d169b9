import { describe, expect, it } from "vitest"
import { type Bill, type BilledTokens, costOf, NOTHING, openBill } from "./invoice.ts"

const PRICE = { inputPerMTok: 0.6, cachedInputPerMTok: 0.3, outputPerMTok: 2.4 }

describe("invoice", () => {
  it("bills fresh, cached and output tokens at their own price", () => {
    // 872 × 600 + 128 × 300 + 50 × 2400 NanoUsd = 523,200 + 38,400 + 120,000
    expect(costOf(PRICE, used({ inputTokens: 1_000, cachedInputTokens: 128, outputTokens: 50 }))).toBe(
      681_600,
    )
  })

  it("takes cached tokens for fresh ones where no price for them is given", () => {
    const price = { inputPerMTok: 0.6, outputPerMTok: 2.4 }
    expect(costOf(price, used({ inputTokens: 1_000, cachedInputTokens: 128 }))).toBe(600_000)
  })

  it("bills what is written to the cache at its own price, or as fresh where none is given", () => {
    const tokens = used({ inputTokens: 1_500, cachedInputTokens: 1_024, cacheWriteTokens: 384 })
    // (1,500 − 1,024 − 384) = 92 × 600 + 1,024 × 300 + 384 × 750 = 55,200 + 307,200 + 288,000
    expect(costOf({ ...PRICE, cacheWritePerMTok: 0.75 }, tokens)).toBe(650_400)
    // 92 × 600 + 1,024 × 300 + 384 × 600 = 55,200 + 307,200 + 230,400
    expect(costOf(PRICE, tokens)).toBe(592_800)
  })

  it("takes the prices of a long context for the whole call, from one token above the step", () => {
    const longContext = { aboveInputTokens: 2_000, inputPerMTok: 1.2, outputPerMTok: 3.6 }
    const price = { ...PRICE, longContext }
    // 2,000 × 600 + 10 × 2,400
    expect(costOf(price, used({ inputTokens: 2_000, outputTokens: 10 }))).toBe(1_224_000)
    // 2,001 × 1,200 + 10 × 3,600: its cached tokens have no price of their own, so 256 of them cost what fresh ones do.
    const long = used({ inputTokens: 2_001, cachedInputTokens: 256, outputTokens: 10 })
    expect(costOf(price, long)).toBe(2_437_200)
  })

  it("does not bill reasoning twice: it is output", () => {
    const tokens = used({ outputTokens: 100, reasoningTokens: 90 })
    expect(costOf(PRICE, tokens)).toBe(240_000)
  })

  it("is exact where a double would not be", () => {
    // 131,072 × 1e12 + 1 × 1 = 131,072,000,000,000,001 pico-dollars, which no double holds; rounded up to NanoUsd.
    const price = { inputPerMTok: 1_000_000, outputPerMTok: 0.000_001 }
    expect(costOf(price, used({ inputTokens: 131_072, outputTokens: 1 }))).toBe(131_072_000_000_001)
  })

  it("rounds up once, at the end", () => {
    // A token costs 0.1 NanoUsd: three of them 0.3, which is billed as 1 and not as 3.
    const price = { inputPerMTok: 0.0001, outputPerMTok: 0.0001 }
    expect(costOf(price, used({ inputTokens: 2, outputTokens: 1 }))).toBe(1)
    expect(costOf(price, used({ inputTokens: 20 }))).toBe(2)
  })

  it("keeps the newest lines and the sum of all", () => {
    const bill = openBill(3)
    for (let at = 1; at <= 10; at += 1) {
      addLine(bill, at)
      expect(bill.lines()).toHaveLength(Math.min(at, 3))
    }
    expect(bill.lines().map(({ number, requestId }) => [number, requestId])).toEqual([
      [8, "r8"],
      [9, "r9"],
      [10, "r10"],
    ])
    expect(bill.totals()).toEqual({
      ...NOTHING,
      lines: 10,
      inputTokens: 55,
      outputTokens: 10,
      costNanoUsd: 5_500,
    })
  })

  it("gives its lines page by page, and says when some of them are gone", () => {
    const bill = openBill(3)
    const numbers = (after: number | undefined, limit: number): readonly number[] | "gone" => {
      const page = bill.page(after, limit)
      return page === "gone" ? page : page.map(({ number }) => number)
    }
    expect(numbers(undefined, 2)).toEqual([])
    expect(numbers(0, 2)).toEqual([])
    for (let at = 1; at <= 5; at += 1) addLine(bill, at)
    expect(numbers(undefined, 2)).toEqual([3, 4])
    expect(numbers(4, 2)).toEqual([5])
    expect(numbers(5, 2)).toEqual([])
    expect(numbers(9, 2)).toEqual([])
    expect(numbers(2, 2)).toEqual([3, 4])
    expect(numbers(1, 2)).toBe("gone")
    for (let at = 6; at <= 11; at += 1) addLine(bill, at)
    expect(numbers(8, 9)).toEqual([9, 10, 11])
    expect(numbers(7, 9)).toBe("gone")
  })
})

function used(tokens: Partial<BilledTokens>): BilledTokens {
  return { ...NOTHING, ...tokens }
}

function addLine(bill: Bill, at: number): void {
  const tokens = used({ inputTokens: at, outputTokens: 1 })
  bill.add({ requestId: `r${at}`, model: "m", at, ...tokens, costNanoUsd: at * 100, outcome: "completed" })
}
