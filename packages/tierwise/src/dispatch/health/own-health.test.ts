import { describe, expect, it } from "vitest"
import { ConfigError } from "../../spec/errors.ts"
import { healthBook } from "./health-book.ts"
import { type OwnHealth, ownHealth } from "./own-health.ts"

const options = { circuitBreaker: undefined, health: undefined, now: () => 0, random: () => 0.5 }

/** How many bad calls in a row it takes until nobody is let in, 100 at most. */
async function failuresUntilOpen(own: Partial<OwnHealth>): Promise<number | undefined> {
  const book = ownHealth({ ...options, ...own })
  for (let failures = 0; failures <= 100; failures++) {
    const entry = await book.enter("a")
    if (!entry.allowed) return failures
    entry.call.ended("badly")
  }
  return undefined
}

describe("ownHealth", () => {
  it("has breakers as they are set, as health books set them, or none", async () => {
    expect(await failuresUntilOpen({ circuitBreaker: { failures: 3 } })).toBe(3)
    expect(await failuresUntilOpen({})).toBe(5)
    expect(await failuresUntilOpen({ circuitBreaker: false })).toBeUndefined()
  })

  it("takes a book that is handed in as it is", () => {
    const health = healthBook()
    expect(ownHealth({ ...options, health })).toBe(health)
  })

  it("names the option that is wrong", () => {
    expect(() => ownHealth({ ...options, circuitBreaker: { openMs: -1 } })).toThrow(
      expect.objectContaining({ constructor: ConfigError, path: "circuitBreaker.openMs" }),
    )
  })
})
