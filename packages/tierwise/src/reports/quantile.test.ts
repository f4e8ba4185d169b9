import { expect, it } from "vitest"
import { quantile } from "./quantile.ts"

it("is the smallest number that the share does not exceed", () => {
  const twenty = Array.from({ length: 20 }, (_, index) => index + 1)
  expect(quantile(twenty, 0.5)).toBe(10)
  expect(quantile(twenty, 0.95)).toBe(19)
  expect(quantile(twenty, 0.951)).toBe(20)
  expect(quantile([7], 0.01)).toBe(7)
  expect(quantile([], 0.5)).toBeUndefined()
})
