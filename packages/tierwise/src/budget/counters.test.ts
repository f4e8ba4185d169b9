import { describe, expect, it } from "vitest"
import type { Scopes } from "../spec/request.ts"
import { countersOf } from "./counters.ts"
import { LATE_CLOSING_MS } from "./ledger-engine.ts"
import { type BudgetLimit, rulesOf } from "./limits.ts"

const NOON = Date.UTC(2026, 0, 15, 12)
const DAY_MS = 86_400_000

const DAILY = { scope: "user", window: "day", usd: 1 } as const

const counters = (...limits: BudgetLimit[]) => countersOf(rulesOf(limits), "UTC")

describe("countersOf", () => {
  it("names a counter for each limit, in their order", () => {
    const named = counters(
      { scope: "user", window: "day", usd: 1, tokens: 10 },
      { scope: "global", window: "total", usd: 5 },
    ).of({ user: "ada" }, NOON)
    expect(named.map(({ scope, unit, limit, start, end }) => [scope, unit, limit, start, end])).toEqual([
      ["user:ada", "NanoUsd", 1e9, Date.UTC(2026, 0, 15), Date.UTC(2026, 0, 16)],
      ["user:ada", "tokens", 10, Date.UTC(2026, 0, 15), Date.UTC(2026, 0, 16)],
      ["global:all", "NanoUsd", 5e9, 0, Number.POSITIVE_INFINITY],
    ])
  })

  it("keeps the order of the limits where some are for one id", () => {
    const named = counters(
      { scope: "tenant", id: "big", window: "day", usd: 1 },
      { scope: "user", window: "day", usd: 2 },
      { scope: "tenant", window: "day", usd: 3 },
      { scope: "user", id: "ada", window: "week", usd: 4 },
      { scope: "tenant", id: "big", window: "day", tokens: 5 },
      { scope: "tenant", id: "other", window: "day", usd: 6 },
    )
    const limitsOf = (scopes: Scopes) =>
      named.of(scopes, NOON).map(({ limit, unit }) => (unit === "tokens" ? limit : limit / 1e9))
    expect(limitsOf({ tenant: "big", user: "ada" })).toEqual([1, 2, 4, 5])
    expect(limitsOf({ tenant: "other" })).toEqual([2, 6])
    expect(limitsOf({ tenant: "small", user: "ada" })).toEqual([2, 3, 4])
  })

  it("looks at no limit of another id, however many there are", () => {
    let looks = 0
    const limits = Array.from({ length: 1_000 }, (_, index): BudgetLimit => ({ ...DAILY, id: `${index}` }))
    const watched = rulesOf([DAILY, ...limits]).map(
      (rule) =>
        new Proxy(rule, {
          get(target, name) {
            looks++
            return Reflect.get(target, name) as unknown
          },
        }),
    )
    const many = countersOf(watched, "UTC")
    looks = 0
    expect(many.of({ user: "7" }, NOON)).toHaveLength(1)
    expect(many.named(JSON.stringify(["user", "8", "day", "NanoUsd", NOON]))).toBeDefined()
    expect(looks).toBeLessThan(100)
  })

  it("names another counter in the next turn, also when the clock has gone back, and forgets it a day after its end", () => {
    const daily = counters({ scope: "user", window: "day", usd: 1 })
    const keyAt = (at: number) => daily.of({ user: "ada" }, at)[0]?.key
    const today = keyAt(NOON)
    expect(keyAt(NOON + DAY_MS / 2 - 1)).toBe(today)
    expect(keyAt(NOON + DAY_MS / 2)).not.toBe(today)
    expect(keyAt(NOON)).toBe(today)
    expect(daily.of({}, NOON)[0]?.forgetAt).toBe(Date.UTC(2026, 0, 16) + LATE_CLOSING_MS)
  })

  it("lets no two limits or ids share a counter, whatever they are named", () => {
    const all = counters(
      { scope: "a", window: "day", usd: 1, tokens: 1 },
      { scope: "a", window: "week", usd: 1 },
      { scope: 'a","b', window: "day", usd: 1 },
      { scope: "a b", window: "day", usd: 1 },
    )
    const ids = ["b", 'b","day', "b:c", "", "default"].filter((id) => id !== "")
    const keys = ids.flatMap((id) => all.of({ a: id, 'a","b': id, "a b": id }, NOON).map(({ key }) => key))
    expect(new Set(keys).size).toBe(ids.length * 5)
  })

  it("knows a counter by its key, also one that another process has named", () => {
    const limits: BudgetLimit[] = [
      { scope: "user", window: "month", usd: 1, warnAt: [0.5] },
      { scope: "user", id: "big", window: "month", usd: 2 },
    ]
    const [theirs] = counters(...limits).of({ user: "ada" }, NOON)
    const [big] = counters(...limits).of({ user: "big" }, NOON)
    const ours = counters(...limits)
    expect(ours.named(theirs?.key ?? "")).toEqual(theirs)
    expect(ours.named(big?.key ?? "")).toMatchObject({ limit: 2e9 })
  })

  it("knows no counter of a limit that it was not given", () => {
    const [theirs] = counters({ scope: "user", window: "day", usd: 1 }).of({ user: "big" }, NOON)
    const ours = counters({ scope: "user", window: "day", tokens: 1 })
    expect(ours.named(theirs?.key ?? "")).toBeUndefined()
    // A general limit is not that of an id which has one of its own.
    const other = counters(
      { scope: "user", window: "month", usd: 1 },
      { scope: "user", id: "big", window: "day", tokens: 1 },
    )
    expect(other.named(theirs?.key ?? "")).toBeUndefined()
  })

  it("keeps the counter of a request for an hour after it was named", () => {
    const requests = counters({ scope: "request", usd: 0.01 })
    const [counter] = requests.of({ request: "r" }, NOON)
    expect(counter).toMatchObject({
      scope: "request:r",
      end: Number.POSITIVE_INFINITY,
      forgetAt: NOON + 3_600_000,
    })
  })

  it("names the amounts at which shares are reached: the first whole unit at or above", () => {
    const [counter] = counters({ scope: "user", window: "day", tokens: 7, warnAt: [0.5, 1] }).of({}, NOON)
    expect(counter?.marks).toEqual([4, 7])
  })

  it("keeps the keys of at most ten thousand ids at hand, and names the others anew", () => {
    const daily = counters({ scope: "user", window: "day", usd: 1 })
    const first = daily.of({ user: "0" }, NOON)[0]
    for (let index = 1; index <= 10_001; index++) daily.of({ user: `${index}` }, NOON)
    expect(daily.of({ user: "0" }, NOON)[0]).toEqual(first)
    expect(daily.of({ user: "0" }, NOON)[0]).not.toBe(first)
  })
})
