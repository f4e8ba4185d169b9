import { describe, expect, it } from "vitest"
import { costOf, openBill } from "./invoice.ts"

const PRICE = { inputPerMTok: 0.6, cachedInputPerMTok: 0.3, outputPerMTok: 2.4 }

describe("invoice", () => {
  it("bills fresh, cached and output tokens at their own price", () => {
    // 872 × 600 + 128 × 300 + 50 × 2400 NanoUsd = 523,200 + 38,400 + 120,000
    expect(costOf(PRICE, { inputTokens: 1_000, cachedInputTokens: 128, outputTokens: 50 })).toBe(681_600)
  })

  it("takes cached tokens for fresh ones where no price for them is given", () => {
    const price = { inputPerMTok: 0.6, outputPerMTok: 2.4 }
    expect(costOf(price, { inputTokens: 1_000, cachedInputTokens: 128, outputTokens: 0 })).toBe(600_000)
  })

  it("rounds up once, at the end", () => {
    // A token costs 0.1 NanoUsd: three of them 0.3, which is billed as 1 and not as 3.
    const price = { inputPerMTok: 0.0001, outputPerMTok: 0.0001 }
    expect(costOf(price, { inputTokens: 2, cachedInputTokens: 0, outputTokens: 1 })).toBe(1)
    expect(costOf(price, { inputTokens: 20, cachedInputTokens: 0, outputTokens: 0 })).toBe(2)
  })

  it("keeps the newest lines and the sum of all", () => {
    const bill = openBill(3)
    for (let at = 1; at <= 10; at += 1) {
      const tokens = { inputTokens: at, cachedInputTokens: 0, outputTokens: 1 }
      bill.add({
        requestId: `r${at}`,
        model: "m",
        at,
        ...tokens,
        costNanoUsd: at * 100,
        outcome: "completed",
      })
      expect(bill.lines()).toHaveLength(Math.min(at, 3))
    }
    expect(bill.lines().map((line) => line.requestId)).toEqual(["r8", "r9", "r10"])
    expect(bill.totals()).toEqual({
      lines: 10,
      inputTokens: 55,
      cachedInputTokens: 0,
      outputTokens: 10,
      costNanoUsd: 5_500,
    })
  })
})
