import { describe, expect, it } from "vitest"
import { NO_USAGE } from "../spec/usage.ts"
import { costOf } from "./cost.ts"
import { LEGACY_PRICES } from "./legacy-prices.ts"
import { ratesOf } from "./rates.ts"

/** USD per 1,000 tokens in and out, as the rows say. */
const ROWS = [
  { model: "phi-3.5-mini", input: 0.0001, output: 0.0001, id: "A1.price-phi-3-5-mini" },
  { model: "mistral-7b", input: 0.0002, output: 0.0002, id: "A1.price-mistral-7b" },
  { model: "llama-3.1-70b", input: 0.0008, output: 0.0008, id: "A1.price-llama-3-1-70b" },
  { model: "gpt-3.5-turbo", input: 0.0005, output: 0.0015, id: "C2.price-gpt-3-5-turbo" },
  { model: "gpt-4", input: 0.03, output: 0.06, id: "C2.price-gpt-4" },
  { model: "gpt-4-turbo", input: 0.01, output: 0.03, id: "C2.price-gpt-4-turbo" },
] as const

describe("LEGACY_PRICES", () => {
  it.each(ROWS)("charges a thousand tokens of $model $input USD in and $output USD out [$id]", (row) => {
    const { model, input, output } = row
    const rates = ratesOf(LEGACY_PRICES[model], "p")
    const thousand = { ...NO_USAGE, inputTokens: 1_000 }
    expect(costOf(thousand, rates)).toBe(Math.round(input * 1e9))
    expect(costOf({ ...NO_USAGE, outputTokens: 1_000 }, rates)).toBe(Math.round(output * 1e9))
  })

  it("says of every price where and when it was read", () => {
    for (const { source, asOf } of Object.values(LEGACY_PRICES)) {
      expect(source).not.toBe("")
      expect(Date.parse(asOf ?? "")).toBeLessThan(Date.parse("2025-01-01"))
    }
    expect(Object.keys(LEGACY_PRICES)).toHaveLength(ROWS.length)
  })
})
