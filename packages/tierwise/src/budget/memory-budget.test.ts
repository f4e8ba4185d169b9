import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { budgetStoreContract, CONTRACT_LIMITS } from "../testing/budget-store-contract.ts"
import { type BudgetLimit, memoryBudget } from "./memory-budget.ts"

const amount = (money: number, tokens = 0) => ({ money: nanoUsd(money), tokens })
const usd = (nano: number) => nano / 1e9

function clock(start = Date.UTC(2026, 0, 15, 12)) {
  let now = start
  const advance = (ms: number) => {
    now += ms
  }
  return { now: () => now, advance }
}

describe("memoryBudget keeps the contract of a budget store", () => {
  const make = async () => {
    const { now, advance } = clock()
    const { tenantNanoUsdPerDay, userTokensPerDay, holdTtlMs } = CONTRACT_LIMITS
    const limits: BudgetLimit[] = [
      { scope: "tenant", window: "day", usd: usd(tenantNanoUsdPerDay) },
      { scope: "user", window: "day", tokens: userTokensPerDay },
    ]
    return { store: memoryBudget({ limits, holdTtlMs, now }), advance }
  }
  for (const { name, run } of budgetStoreContract(make))
    it(name, () => expect(run()).resolves.toBeUndefined())
})

describe("memoryBudget", () => {
  it("gives every tenant a budget of its own, checks before and records after [E4.per-tenant] [E4.check-before] [E4.record-after]", async () => {
    const store = memoryBudget({ limits: [{ scope: "tenant", window: "day", tokens: 100 }] })
    const reserve = (id: string, tenant: string) =>
      store.reserve({ id, scopes: { tenant }, amount: amount(0, 80) })
    expect((await reserve("1", "a")).granted).toBe(true)
    expect((await reserve("2", "b")).granted).toBe(true)
    expect((await reserve("3", "a")).granted).toBe(false)
    await store.settle("1", amount(0, 10))
    expect((await reserve("4", "a")).granted).toBe(true)
    expect(await store.status({ tenant: "a" })).toMatchObject([{ spent: 10, held: 80, remaining: 10 }])
  })

  it("counts a call that names no tenant as one tenant, so leaving the name out is no way around", async () => {
    const store = memoryBudget({ limits: [{ scope: "tenant", window: "day", tokens: 100 }] })
    await store.reserve({ id: "1", scopes: {}, amount: amount(0, 80) })
    const second = await store.reserve({ id: "2", scopes: {}, amount: amount(0, 80) })
    expect(second).toMatchObject({ granted: false, refusal: { scope: "tenant:default" } })
  })

  it("limits money and tokens of one scope side by side", async () => {
    const limits: BudgetLimit[] = [
      { scope: "tenant", window: "day", usd: 1 },
      { scope: "tenant", window: "day", tokens: 100 },
    ]
    const store = memoryBudget({ limits })
    await store.reserve({ id: "1", scopes: {}, amount: amount(5, 7) })
    expect(await store.status({})).toMatchObject([
      { unit: "NanoUsd", held: 5 },
      { unit: "tokens", held: 7 },
    ])
  })

  it("has nothing remaining, not less, when a call cost more than was left", async () => {
    const store = memoryBudget({ limits: [{ scope: "tenant", window: "day", tokens: 100 }] })
    await store.reserve({ id: "1", scopes: {}, amount: amount(0, 100) })
    await store.settle("1", amount(0, 130))
    expect(await store.status({})).toMatchObject([{ spent: 130, remaining: 0 }])
    const next = await store.reserve({ id: "2", scopes: {}, amount: amount(0, 1) })
    expect(next).toMatchObject({ granted: false, refusal: { remaining: 0 } })
  })

  it.each([-1, 0.5, Number.NaN])("takes no amount of %d tokens, held or spent", async (tokens) => {
    const store = memoryBudget({ limits: [{ scope: "tenant", window: "day", tokens: 100 }] })
    const refused = { constructor: ConfigError, path: "amount.tokens" }
    const wrong = amount(0, tokens)
    await expect(store.reserve({ id: "1", scopes: {}, amount: wrong })).rejects.toMatchObject(refused)
    await store.reserve({ id: "2", scopes: {}, amount: amount(0, 10) })
    await expect(store.settle("2", wrong)).rejects.toMatchObject(refused)
    expect(await store.status({})).toMatchObject([{ spent: 0, held: 10 }])
  })

  it.each([0, -1, Number.NaN])("lets no hold live for %d ms", async (ttlMs) => {
    const limits: BudgetLimit[] = [{ scope: "tenant", window: "day", tokens: 100 }]
    expect(() => memoryBudget({ limits, holdTtlMs: ttlMs })).toThrow("budget.holdTtlMs")
    const store = memoryBudget({ limits })
    await store.reserve({ id: "1", scopes: {}, amount: amount(0, 10) })
    await expect(store.extend("1", ttlMs)).rejects.toThrow("positive number of milliseconds")
  })

  it("keeps ids apart whatever characters they are made of", async () => {
    const limits: BudgetLimit[] = [
      { scope: "team", window: "day", tokens: 100 },
      { scope: "team:a", window: "day", tokens: 100 },
    ]
    const store = memoryBudget({ limits })
    const scopes = { team: "a:b", "team:a": "b" }
    await store.reserve({ id: "1", scopes, amount: amount(0, 80) })
    expect((await store.status(scopes)).map(({ held }) => held)).toEqual([80, 80])
  })

  it("limits all calls together in the scope global", async () => {
    const store = memoryBudget({ limits: [{ scope: "global", window: "total", tokens: 100 }] })
    await store.reserve({ id: "1", scopes: { tenant: "a" }, amount: amount(0, 80) })
    const second = await store.reserve({ id: "2", scopes: { tenant: "b" }, amount: amount(0, 80) })
    expect(second).toMatchObject({ granted: false, refusal: { scope: "global:all", resetsAt: undefined } })
    // A caller who names a scope of that name gets no limit of its own.
    const third = await store.reserve({ id: "3", scopes: { global: "mine" }, amount: amount(0, 80) })
    expect(third).toMatchObject({ granted: false, refusal: { scope: "global:all" } })
  })

  it("lets a limit for one id replace the general one", async () => {
    const limits: BudgetLimit[] = [
      { scope: "tenant", window: "day", tokens: 100 },
      { scope: "tenant", id: "big", window: "day", tokens: 1_000 },
    ]
    const store = memoryBudget({ limits })
    const reserve = (tenant: string) =>
      store.reserve({ id: tenant, scopes: { tenant }, amount: amount(0, 500) })
    expect((await reserve("big")).granted).toBe(true)
    expect((await reserve("small")).granted).toBe(false)
  })

  it("keeps the general limits of other windows, units and scopes for an id with a limit of its own", async () => {
    const limits: BudgetLimit[] = [
      { scope: "tenant", window: "day", tokens: 100, usd: 1 },
      { scope: "tenant", window: "month", tokens: 500 },
      { scope: "tenant", id: "big", window: "day", tokens: 1_000 },
      { scope: "user", id: "big", window: "month", tokens: 7 },
    ]
    const statuses = await memoryBudget({ limits }).status({ tenant: "big", user: "ada" })
    expect(statuses.map(({ window, unit, limit }) => [window, unit, limit])).toEqual([
      ["day", "NanoUsd", 1e9],
      ["month", "tokens", 500],
      ["day", "tokens", 1_000],
    ])
  })

  it("books a hold the moment it expires, however short it was made to live", async () => {
    const { now, advance } = clock()
    const limits: BudgetLimit[] = [{ scope: "global", window: "total", tokens: 100 }]
    const store = memoryBudget({ limits, holdTtlMs: 1_000, now })
    await store.reserve({ id: "1", scopes: {}, amount: amount(0, 30) })
    advance(1_000)
    expect(await store.status({})).toMatchObject([{ held: 0, spent: 30, unconfirmed: 30 }])
    await store.reserve({ id: "2", scopes: {}, amount: amount(0, 50) })
    await store.extend("2", 10)
    advance(10)
    expect(await store.status({})).toMatchObject([{ held: 0, spent: 80, unconfirmed: 80 }])
    expect(await store.extend("2", 1_000)).toBe(false)
  })

  it("does not hold again for an id whose hold has expired: that call is booked already", async () => {
    const { now, advance } = clock()
    const limits: BudgetLimit[] = [{ scope: "global", window: "total", tokens: 100 }]
    const store = memoryBudget({ limits, holdTtlMs: 1_000, now })
    const reserve = () => store.reserve({ id: "1", scopes: {}, amount: amount(0, 30) })
    const first = await reserve()
    advance(1_000)
    expect(await reserve()).toEqual(first)
    expect(await store.status({})).toMatchObject([{ held: 0, spent: 30 }])
  })

  it("shares no hold between requests that differ in money, tokens or scopes", async () => {
    const store = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1, tokens: 100 }] })
    const reserve = (money: number, tokens: number, tenant: string) =>
      store.reserve({ id: "1", scopes: { tenant }, amount: amount(money, tokens) })
    await reserve(5, 10, "a")
    for (const other of [reserve(6, 10, "a"), reserve(5, 11, "a"), reserve(5, 10, "b")])
      await expect(other).rejects.toMatchObject({ constructor: ConfigError, path: "id" })
    expect(await store.status({ tenant: "b" })).toMatchObject([{ held: 0 }, { held: 0 }])
  })

  it("takes no name from the prototype of the scopes", async () => {
    const store = memoryBudget({ limits: [{ scope: "constructor", window: "day", tokens: 100 }] })
    expect(await store.status({})).toMatchObject([{ scope: "constructor:default" }])
  })

  it("lets a hold live for ten minutes if nothing else is said", async () => {
    const { now, advance } = clock()
    const store = memoryBudget({ limits: [{ scope: "global", window: "total", tokens: 100 }], now })
    await store.reserve({ id: "1", scopes: {}, amount: amount(0, 30) })
    advance(599_999)
    expect(await store.status({})).toMatchObject([{ held: 30, unconfirmed: 0 }])
    advance(1)
    expect(await store.status({})).toMatchObject([{ held: 0, unconfirmed: 30 }])
  })

  it("corrects an expired hold for a day, and leaves it booked after that", async () => {
    const { now, advance } = clock()
    const limits: BudgetLimit[] = [{ scope: "global", window: "total", tokens: 100 }]
    const store = memoryBudget({ limits, holdTtlMs: 60_000, now })
    await store.reserve({ id: "1", scopes: {}, amount: amount(0, 30) })
    advance(60_000 + 86_399_999)
    await store.settle("1", amount(0, 20))
    expect(await store.status({})).toMatchObject([{ spent: 20, unconfirmed: 0 }])
    await store.reserve({ id: "2", scopes: {}, amount: amount(0, 50) })
    advance(60_000)
    await store.status({})
    advance(86_400_000)
    await store.settle("2", amount(0, 1))
    expect(await store.status({})).toMatchObject([{ spent: 70, unconfirmed: 50 }])
  })

  it("begins days and months where the time zone does", async () => {
    // 23:30 UTC on 31 March is 01:30 on 1 April in Berlin.
    const { now } = clock(Date.UTC(2026, 2, 31, 23, 30))
    const limits: BudgetLimit[] = [
      { scope: "global", window: "day", tokens: 1 },
      { scope: "global", window: "month", tokens: 1 },
    ]
    const statuses = await memoryBudget({ limits, timeZone: "Europe/Berlin", now }).status({})
    expect(statuses.map(({ resetsAt }) => new Date(resetsAt ?? 0).toISOString())).toEqual([
      "2026-04-01T22:00:00.000Z",
      "2026-04-30T22:00:00.000Z",
    ])
  })

  it("starts the new day at midnight sharp", async () => {
    const { now, advance } = clock(Date.UTC(2026, 0, 15))
    const store = memoryBudget({ limits: [{ scope: "global", window: "day", tokens: 100 }], now })
    await store.reserve({ id: "1", scopes: {}, amount: amount(0, 100) })
    await store.settle("1", amount(0, 100))
    advance(86_399_999)
    expect(await store.status({})).toMatchObject([{ spent: 100, resetsAt: Date.UTC(2026, 0, 16) }])
    advance(1)
    expect(await store.status({})).toMatchObject([{ spent: 0, resetsAt: Date.UTC(2026, 0, 17) }])
  })

  it("knows that the day of a clock change has 23 hours", async () => {
    const { now } = clock(Date.UTC(2026, 2, 29, 0, 0))
    const store = memoryBudget({
      limits: [{ scope: "global", window: "day", tokens: 1 }],
      timeZone: "Europe/Berlin",
      now,
    })
    const [status] = await store.status({})
    expect(new Date(status?.resetsAt ?? 0).toISOString()).toBe("2026-03-29T22:00:00.000Z")
  })

  it("begins the next day at midnight also after a day without one", async () => {
    // Beirut sets its clocks ahead at midnight: 29 March 2026 begins at one o'clock.
    const { now } = clock(Date.UTC(2026, 2, 29, 9))
    const limits: BudgetLimit[] = [{ scope: "global", window: "day", tokens: 1 }]
    const [status] = await memoryBudget({ limits, timeZone: "Asia/Beirut", now }).status({})
    expect(new Date(status?.resetsAt ?? 0).toISOString()).toBe("2026-03-29T21:00:00.000Z")
  })

  it("settles a call that crossed midnight in the day it was held in", async () => {
    const { now, advance } = clock(Date.UTC(2026, 0, 15, 23, 59))
    const store = memoryBudget({ limits: [{ scope: "global", window: "day", tokens: 100 }], now })
    await store.reserve({ id: "1", scopes: {}, amount: amount(0, 100) })
    advance(120_000)
    await store.settle("1", amount(0, 100))
    expect(await store.status({})).toMatchObject([{ spent: 0, held: 0 }])
  })

  it("tracks money by the month and blocks beyond it [C4.tracks] [C4.blocks] [C4.status]", async () => {
    const store = memoryBudget({ limits: [{ scope: "global", window: "month", usd: 100 }] })
    await store.reserve({ id: "1", scopes: {}, amount: amount(60e9) })
    await store.settle("1", amount(55e9))
    expect(await store.status({})).toMatchObject([{ limit: 100e9, spent: 55e9, remaining: 45e9 }])
    expect((await store.reserve({ id: "2", scopes: {}, amount: amount(46e9) })).granted).toBe(false)
  })

  it.each<[string, readonly BudgetLimit[], string]>([
    ["a negative limit", [{ scope: "tenant", window: "day", usd: -1 }], "budget.limits[0].usd"],
    ["a limit of no money", [{ scope: "tenant", window: "day", usd: 0 }], "budget.limits[0].usd"],
    ["a limit of no tokens", [{ scope: "tenant", window: "day", tokens: 0 }], "budget.limits[0].tokens"],
    ["half a token", [{ scope: "tenant", window: "day", tokens: 0.5 }], "budget.limits[0].tokens"],
    [
      "a limit that is no number",
      [{ scope: "tenant", window: "day", usd: Number.NaN }],
      "budget.limits[0].usd",
    ],
    ["a scope without a name", [{ scope: "", window: "day", usd: 1 }], "budget.limits[0].scope"],
    ["an id for all calls", [{ scope: "global", id: "x", window: "day", usd: 1 }], "budget.limits[0].id"],
    ["an unknown window", [{ scope: "tenant", window: "week" as never, usd: 1 }], "budget.limits[0].window"],
    ["a limit of nothing", [{ scope: "tenant", window: "day" }], "budget.limits[0]"],
    [
      "the same limit twice",
      [
        { scope: "tenant", window: "day", usd: 1 },
        { scope: "tenant", window: "day", usd: 2 },
      ],
      "budget.limits",
    ],
  ])("refuses %s", (_, limits, path) => {
    expect(() => memoryBudget({ limits })).toThrow(
      expect.objectContaining({ constructor: ConfigError, path }),
    )
  })

  it("refuses a time zone that does not exist", () => {
    expect(() => memoryBudget({ limits: [], timeZone: "Mars/Base" })).toThrow("budget.timeZone")
  })

  it("never lets spent + held pass the limit at a grant, and loses no money, in any order of events", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("reserve" as const), id: fc.nat(15), money: fc.nat(400) }),
      fc.record({
        kind: fc.constant("settle" as const),
        id: fc.nat(15),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.record({ kind: fc.constant("release" as const), id: fc.nat(15) }),
      fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(50_000) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { now, advance } = clock()
        const store = memoryBudget({
          limits: [{ scope: "global", window: "total", usd: usd(1_000) }],
          holdTtlMs: 60_000,
          now,
        })
        // The model: what each open hold was quoted at, and what has been booked for good.
        const open = new Map<number, number>()
        let booked = 0
        const wrongGrants: unknown[] = []
        for (const event of steps) {
          const id = "id" in event ? event.id : -1
          const quoted = open.get(id)
          if (event.kind === "reserve" && quoted === undefined) {
            const { granted } = await store.reserve({ id: `${id}`, scopes: {}, amount: amount(event.money) })
            const taken = booked + [...open.values()].reduce((a, b) => a + b, 0)
            const fits = taken + event.money <= 1_000
            if (granted !== fits) wrongGrants.push(event)
            if (granted) open.set(id, event.money)
          } else if (event.kind === "settle" && quoted !== undefined) {
            const actual = Math.floor(quoted * event.share)
            await store.settle(`${id}`, amount(actual))
            booked += actual
            open.delete(id)
          } else if (event.kind === "release" && quoted !== undefined) {
            await store.release(`${id}`)
            open.delete(id)
          } else if (event.kind === "wait") advance(event.ms)
          const [status] = await store.status({})
          const taken = booked + [...open.values()].reduce((a, b) => a + b, 0)
          expect((status?.spent ?? 0) + (status?.held ?? 0)).toBe(taken)
        }
        expect(wrongGrants).toEqual([])
      }),
      { numRuns: 200 },
    )
  })
})
