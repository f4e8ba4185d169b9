import { describe, expect, it } from "vitest"
import type { BudgetWarning } from "../spec/budget.ts"
import { nanoUsd } from "../spec/money.ts"
import { budgetStoreContract } from "../testing/budget-store-contract.ts"
import type { BudgetLimit } from "./limits.ts"
import { memoryBudget } from "./memory-budget.ts"

const amount = (money: number, tokens = 0) => ({ money: nanoUsd(money), tokens })

function clock(start = Date.UTC(2026, 0, 15, 12)) {
  let now = start
  const advance = (ms: number) => {
    now += ms
  }
  return { now: () => now, advance }
}

describe("memoryBudget keeps the contract of a budget store", () => {
  for (const { name, run } of budgetStoreContract(memoryBudget))
    it(name, () => expect(run()).resolves.toBeUndefined())
})

describe("memoryBudget", () => {
  it("gives every tenant a budget of its own, checks before and records after [E4.per-tenant] [E4.check-before] [E4.record-after] [N10.budget]", async () => {
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

  it.each(["user", "team", "project"])(
    "limits the money of each %s [C8.user-budgets] [C8.team-budgets] [C8.project-budgets]",
    async (scope) => {
      const store = memoryBudget({ limits: [{ scope, window: "month", usd: 5 }] })
      const reserve = (id: string, who: string) =>
        store.reserve({ id, scopes: { [scope]: who }, amount: amount(3e9) })
      expect((await reserve("1", "a")).granted).toBe(true)
      expect(await reserve("2", "a")).toMatchObject({ granted: false, refusal: { scope: `${scope}:a` } })
      expect((await reserve("3", "b")).granted).toBe(true)
    },
  )

  it("keeps a quota of tokens beside the money [C8.token-quotas]", async () => {
    const store = memoryBudget({ limits: [{ scope: "user", window: "day", usd: 100, tokens: 1_000 }] })
    await store.reserve({ id: "1", scopes: { user: "ada" }, amount: amount(1, 900) })
    await store.settle("1", amount(1, 900))
    const second = await store.reserve({ id: "2", scopes: { user: "ada" }, amount: amount(1, 101) })
    expect(second).toMatchObject({
      granted: false,
      refusal: { unit: "tokens", limit: 1_000, remaining: 100 },
    })
  })

  it("books an id once for a day, however many others are closed", async () => {
    const { now, advance } = clock()
    const store = memoryBudget({ limits: [{ scope: "tenant", window: "total", tokens: 1_000 }], now })
    const book = () => store.book({ id: "beside", scopes: {}, amount: amount(0, 5) })
    await book()
    for (let call = 0; call < 20_001; call++) await store.release(`${call}`)
    advance(86_400_000 - 1)
    await book()
    expect(await store.status({})).toMatchObject([{ spent: 5 }])
  })

  it("takes no longer to book what expires bit by bit, however much is held besides", async () => {
    const timeOf = async (abandoned: number) => {
      const { now, advance } = clock()
      const limits = [{ scope: "tenant", window: "total", tokens: 1e12 }] as const
      const store = memoryBudget({ limits, now, holdTtlMs: 1_000_000 })
      for (let call = 0; call < abandoned; call++) {
        await store.reserve({ id: `${call}`, scopes: {}, amount: amount(0, 1) })
        advance(10)
      }
      advance(1_000_000 - abandoned * 10)
      const startedAt = performance.now()
      for (let look = 0; look < 300; look++) {
        advance(10)
        await store.status({})
      }
      const tookMs = performance.now() - startedAt
      expect(await store.status({})).toMatchObject([{ unconfirmed: 301 }])
      return tookMs
    }
    await timeOf(400)
    // The best of three: a machine that pauses makes none of them faster.
    const best = async (abandoned: number) =>
      Math.min(await timeOf(abandoned), await timeOf(abandoned), await timeOf(abandoned))
    expect((await best(40_000)) / (await best(400))).toBeLessThan(15)
  })

  it("holds before a call, settles at its cost, and gives back what was not used [N1.reserve] [N1.settle] [N1.release]", async () => {
    const store = memoryBudget({ limits: [{ scope: "global", window: "total", usd: 1 }] })
    await store.reserve({ id: "1", scopes: {}, amount: amount(6e8) })
    expect(await store.status({})).toMatchObject([{ held: 6e8, spent: 0, remaining: 4e8 }])
    await store.settle("1", amount(250_000_001))
    expect(await store.status({})).toMatchObject([{ held: 0, spent: 250_000_001, remaining: 749_999_999 }])
    await store.reserve({ id: "2", scopes: {}, amount: amount(7e8) })
    await store.release("2")
    expect(await store.status({})).toMatchObject([{ held: 0, spent: 250_000_001, remaining: 749_999_999 }])
  })

  it("tracks money by the month and blocks beyond it [C4.tracks] [C4.blocks] [C4.status]", async () => {
    const store = memoryBudget({ limits: [{ scope: "global", window: "month", usd: 100 }] })
    await store.reserve({ id: "1", scopes: {}, amount: amount(60e9) })
    await store.settle("1", amount(55e9))
    expect(await store.status({})).toMatchObject([{ limit: 100e9, spent: 55e9, remaining: 45e9 }])
    expect((await store.reserve({ id: "2", scopes: {}, amount: amount(46e9) })).granted).toBe(false)
  })

  it("alerts at 80 and at 95 percent of a tenant's tokens [E4.alert-80] [E4.alert-95] [C8.budget-alerts] [A7.alert-budget]", async () => {
    const warnings: BudgetWarning[] = []
    const store = memoryBudget({
      limits: [{ scope: "tenant", window: "day", tokens: 1_000 }],
      onWarning: (warning) => warnings.push(warning),
    })
    const spent: (readonly [number, readonly number[]])[] = []
    for (const tokens of [799, 1, 149, 1, 50]) {
      const id = `${tokens} after ${spent.length}`
      await store.reserve({ id, scopes: { tenant: "acme" }, amount: amount(0, tokens) })
      await store.settle(id, amount(0, tokens))
      spent.push([tokens, warnings.map(({ share }) => share)])
    }
    expect(spent).toEqual([
      [799, []],
      [1, [0.8]],
      [149, [0.8]],
      [1, [0.8, 0.95]],
      [50, [0.8, 0.95]],
    ])
    expect(warnings[1]).toMatchObject({ scope: "tenant:acme", spent: 950, limit: 1_000 })
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
    expect(await store.settle("2", amount(0, 1))).toBeUndefined()
    expect(await store.status({})).toMatchObject([{ spent: 70, unconfirmed: 50 }])
  })

  it("keeps the budget of a request over all its attempts, and until an hour after the last", async () => {
    const { now, advance } = clock()
    const store = memoryBudget({ limits: [{ scope: "request", tokens: 100 }], now })
    const attempt = (id: string, tokens: number) =>
      store.reserve({ id, scopes: { request: "r" }, amount: amount(0, tokens) })
    await attempt("1", 60)
    await store.settle("1", amount(0, 60))
    advance(3_599_999)
    expect((await attempt("2", 41)).granted).toBe(false)
    expect((await attempt("2", 40)).granted).toBe(true)
    await store.release("2")
    advance(3_599_999)
    expect(await store.status({ request: "r" })).toMatchObject([{ spent: 60 }])
    advance(60_000)
    expect(await store.status({ request: "r" })).toMatchObject([{ spent: 0 }])
  })

  it("forgets a day that is over, and still settles there what was held through it", async () => {
    const { now, advance } = clock()
    const store = memoryBudget({ limits: [{ scope: "global", window: "day", tokens: 100 }], now })
    await store.reserve({ id: "1", scopes: {}, amount: amount(0, 100) })
    for (let day = 0; day < 4; day++) {
      expect(await store.extend("1", 86_400_001)).toBe(true)
      advance(86_400_000)
    }
    expect(await store.settle("1", amount(0, 100))).toEqual({ late: false, overrun: amount(0, 0) })
    expect(await store.status({})).toMatchObject([{ spent: 0, held: 0 }])
  })

  it("forgets requests that are over, a few with each call", async () => {
    const { now, advance } = clock()
    const store = memoryBudget({ limits: [{ scope: "request", tokens: 100 }], now })
    const requests = Array.from({ length: 1_000 }, (_, index) => ({ request: `${index}` }))
    for (const scopes of requests) await store.book({ id: scopes.request, scopes, amount: amount(0, 7) })
    advance(3_600_000)
    const remembered = async () => {
      const statuses = await Promise.all(requests.slice(0, 3).map((scopes) => store.status(scopes)))
      return statuses.flat().filter(({ spent }) => spent > 0).length
    }
    expect(await remembered()).toBe(0)
    for (let call = 0; call < 4; call++) await store.status({})
    const late = await store.status(requests.at(-1) ?? {})
    expect(late).toMatchObject([{ spent: 0 }])
  })

  it("is a ledger of its own: no two share money or a name", async () => {
    const limits: BudgetLimit[] = [{ scope: "global", window: "total", tokens: 100 }]
    const [one, other] = [memoryBudget({ limits }), memoryBudget({ limits })]
    await one.reserve({ id: "1", scopes: {}, amount: amount(0, 100) })
    expect(await other.status({})).toMatchObject([{ held: 0 }])
    expect(one.name).not.toBe(other.name)
  })
})
