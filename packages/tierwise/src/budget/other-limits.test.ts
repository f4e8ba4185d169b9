import { describe, expect, it } from "vitest"
import { otherLimits } from "./other-limits.ts"

const json = (timeZone: string, ...limits: readonly object[]) => JSON.stringify({ timeZone, limits })

describe("otherLimits", () => {
  it("says what the ledger has, what the process has, and leaves out what both have", () => {
    const both = { scope: "user", limit: 1 }
    const { path, problem, fix } = otherLimits(
      "redis:main",
      json("UTC", both, { scope: "tenant", limit: 2 }),
      json("Europe/Berlin", { scope: "tenant", limit: 3 }, both),
    )
    expect(path).toBe("budget.limits")
    expect(problem).toBe(
      "redis:main is kept with others: time zone UTC, not Europe/Berlin; " +
        'it has {"scope":"tenant","limit":2}; here is {"scope":"tenant","limit":3}',
    )
    expect(fix).toContain('otherLimits: "replace"')
  })

  it("tells five differences, and how many more there are", () => {
    const many = Array.from({ length: 8 }, (_, limit) => ({ limit }))
    expect(otherLimits("x", json("UTC"), json("UTC", ...many)).problem).toMatch(/"limit":4}; and 3 more$/)
  })

  it.each(["{", "[]", "null", "{}"])("says so where the ledger has %s", (kept) => {
    expect(otherLimits("x", kept, json("UTC")).problem).toContain(`it has ${kept}, which cannot be read`)
  })
})
