import { describe, expect, it } from "vitest"
import { ConfigError } from "../spec/errors.ts"
import { type BudgetLimit, idUnder, rulesOf } from "./limits.ts"

const day = { scope: "tenant", window: "day" } as const

describe("rulesOf", () => {
  it("makes one rule of each unit that is limited", () => {
    const rules = rulesOf([{ ...day, usd: 1.5, tokens: 100 }])
    expect(rules).toMatchObject([
      { scope: "tenant", id: undefined, window: "day", unit: "NanoUsd", limit: 1_500_000_000 },
      { scope: "tenant", id: undefined, window: "day", unit: "tokens", limit: 100 },
    ])
  })

  it("warns at 80 and 95 percent, and of a single request at 80", () => {
    const rules = rulesOf([
      { ...day, usd: 1 },
      { scope: "request", usd: 1 },
      { scope: "user", window: "day", usd: 1, warnAt: [0.5, 1] },
      { scope: "team", window: "day", usd: 1, warnAt: [] },
    ])
    expect(rules.map(({ warnAt }) => warnAt)).toEqual([[0.8, 0.95], [0.8], [0.5, 1], []])
  })

  it("takes the window of a request as total", () => {
    expect(rulesOf([{ scope: "request", usd: 0.01 }])).toMatchObject([{ window: "total" }])
  })

  it("takes a limit for one id in place of the general one of the same scope, window and unit alone", () => {
    const limits: BudgetLimit[] = [
      { ...day, tokens: 100, usd: 1 },
      { scope: "tenant", window: "month", tokens: 500 },
      { ...day, id: "big", tokens: 1_000 },
      { scope: "user", id: "big", window: "month", tokens: 7 },
    ]
    const rules = rulesOf(limits)
    const ids = rules.map((rule) => idUnder(rule, { tenant: "big", user: "ada" }))
    expect(ids).toEqual(["big", undefined, "big", "big", undefined])
  })

  it.each<[string, readonly BudgetLimit[], string]>([
    ["no limits", [], "budget.limits"],
    ["limits that are no list", {} as never, "budget.limits"],
    ["a negative limit", [{ ...day, usd: -1 }], "budget.limits[0].usd"],
    ["a limit of no money", [{ ...day, usd: 0 }], "budget.limits[0].usd"],
    ["a limit of no tokens", [{ ...day, tokens: 0 }], "budget.limits[0].tokens"],
    ["half a token", [{ ...day, tokens: 0.5 }], "budget.limits[0].tokens"],
    ["a limit that is no number", [{ ...day, usd: Number.NaN }], "budget.limits[0].usd"],
    ["a limit without end", [{ ...day, usd: Number.POSITIVE_INFINITY }], "budget.limits[0].usd"],
    ["a limit that cannot be counted up to", [{ ...day, usd: 1e10 }], "budget.limits[0].usd"],
    ["a scope without a name", [{ scope: "", window: "day", usd: 1 }], "budget.limits[0].scope"],
    // Its id b would be told of as the id a:b of the scope team.
    ["a scope with a colon", [{ scope: "team:a", window: "day", usd: 1 }], "budget.limits[0].scope"],
    [
      "an id that is none",
      [
        { ...day, usd: 1 },
        { ...day, id: "", usd: 1 },
      ],
      "budget.limits[1].id",
    ],
    ["an id for all calls", [{ scope: "global", id: "x", window: "day", usd: 1 }], "budget.limits[0].id"],
    ["an unknown window", [{ scope: "tenant", window: "year" as never, usd: 1 }], "budget.limits[0].window"],
    ["a window that is missing", [{ scope: "tenant", usd: 1 }], "budget.limits[0].window"],
    ["a day of a request", [{ scope: "request", window: "day", usd: 1 }], "budget.limits[0].window"],
    ["a limit of nothing", [day], "budget.limits[0]"],
    ["a share of nothing", [{ ...day, usd: 1, warnAt: [0] }], "budget.limits[0].warnAt[0]"],
    ["a share beyond all", [{ ...day, usd: 1, warnAt: [0.5, 1.1] }], "budget.limits[0].warnAt[1]"],
    ["shares that fall", [{ ...day, usd: 1, warnAt: [0.9, 0.8] }], "budget.limits[0].warnAt[1]"],
    ["the same share twice", [{ ...day, usd: 1, warnAt: [0.8, 0.8] }], "budget.limits[0].warnAt[1]"],
    ["a share that is no number", [{ ...day, usd: 1, warnAt: [Number.NaN] }], "budget.limits[0].warnAt[0]"],
    [
      "the same limit twice",
      [
        { ...day, usd: 1 },
        { ...day, usd: 2 },
      ],
      "budget.limits",
    ],
    [
      "the same limit of one id twice",
      [
        { ...day, id: "a", usd: 1 },
        { ...day, id: "a", usd: 1 },
      ],
      "budget.limits",
    ],
  ])("refuses %s", (_, limits, path) => {
    expect(() => rulesOf(limits)).toThrow(expect.objectContaining({ constructor: ConfigError, path }))
  })
})

describe("idUnder", () => {
  const rule = (limit: BudgetLimit) => {
    const [first] = rulesOf([limit])
    if (first === undefined) throw new Error("no rule")
    return first
  }

  it("counts a call that names no id as one", () => {
    expect(idUnder(rule({ ...day, usd: 1 }), {})).toBe("default")
  })

  it("takes no name from the prototype of the scopes", () => {
    expect(idUnder(rule({ scope: "constructor", window: "day", usd: 1 }), {})).toBe("default")
  })

  it("lets nobody name what is global", () => {
    expect(idUnder(rule({ scope: "global", window: "day", usd: 1 }), { global: "mine" })).toBe("all")
  })

  it("limits one id alone, and others not", () => {
    const one = rule({ ...day, id: "a", usd: 1 })
    expect([idUnder(one, { tenant: "a" }), idUnder(one, { tenant: "b" }), idUnder(one, {})]).toEqual([
      "a",
      undefined,
      undefined,
    ])
  })
})
