import { describe, expect, it } from "vitest"
import { addUsage, NO_USAGE, type Usage } from "./usage.ts"

/** Every count another number, so that none can stand in for another. */
const countingFrom = (from: number): Usage =>
  Object.fromEntries(
    Object.keys(NO_USAGE).map((name, index) => [name, name === "estimated" ? false : from + index]),
  ) as unknown as Usage

const first = countingFrom(100)

describe("addUsage", () => {
  it("adds up every kind of token", () => {
    const counts = Object.keys(NO_USAGE).filter((name) => name !== "estimated")
    const expected = Object.fromEntries(counts.map((name, index) => [name, 100 + index + 7 + index]))
    expect(addUsage(first, countingFrom(7))).toEqual({ ...expected, estimated: false })
  })

  it("is an estimate as soon as one of the two is", () => {
    expect(addUsage(first, { ...first, estimated: true })?.estimated).toBe(true)
    expect(addUsage({ ...first, estimated: true }, first)?.estimated).toBe(true)
  })

  it("takes undefined for nothing", () => {
    expect(addUsage(undefined, first)).toBe(first)
    expect(addUsage(first, undefined)).toBe(first)
    expect(addUsage(undefined, undefined)).toBeUndefined()
  })
})
