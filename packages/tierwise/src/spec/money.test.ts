import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "./errors.ts"
import { addMoney, ceilTolerant, nanoToUsd, nanoUsd, usdToNano } from "./money.ts"

describe("NanoUsd", () => {
  it("keeps a published price to the last digit", () => {
    expect(usdToNano(0.0375)).toBe(37_500_000)
    expect(usdToNano(0.15)).toBe(150_000_000)
    expect(nanoToUsd(nanoUsd(1))).toBe(1e-9)
  })

  it("rounds a dollar amount up, never down", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1_000_000, noNaN: true }), (usd) => {
        const nano = usdToNano(usd)
        expect(nano / 1e9).toBeGreaterThanOrEqual(usd * (1 - 1e-11))
        expect(nano - usd * 1e9).toBeLessThanOrEqual(1 + usd * 1e-3)
      }),
    )
  })

  it("forgives the last bits of a float, and nothing else", () => {
    expect(ceilTolerant(0.0375 * 1e6)).toBe(37_500)
    expect(ceilTolerant(1_000.000_001)).toBe(1_001)
    expect(ceilTolerant(1e-9)).toBe(1)
    expect(ceilTolerant(0)).toBe(0)
  })

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])("refuses %d", (value) => {
    expect(() => nanoUsd(value)).toThrow(ConfigError)
  })

  it("refuses a sum that integers cannot hold", () => {
    const most = nanoUsd(Number.MAX_SAFE_INTEGER)
    expect(() => addMoney(most, nanoUsd(1))).toThrow(ConfigError)
  })
})
