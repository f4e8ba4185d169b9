import { DatabaseSync } from "node:sqlite"
import { describe, expect, it } from "vitest"
import type { BudgetLimit } from "../budget/limits.ts"
import { ConfigError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { budgetStoreContract } from "../testing/budget-store-contract.ts"
import { migrateSqliteBudget, type SqliteBudgetOptions, sqliteBudget } from "./sqlite-budget.ts"

const LIMITS: readonly BudgetLimit[] = [{ scope: "tenant", window: "day", usd: 1e-6 }]
const ACME = { tenant: "acme" }

const hold = (id: string, money: number) => ({
  id,
  scopes: ACME,
  amount: { money: nanoUsd(money), tokens: 0 },
})

describe("sqliteBudget", () => {
  it.for(budgetStoreContract((options) => sqliteBudget({ ...options, path: ":memory:" })))(
    "keeps the contract of every store: $name",
    async ({ run }) => expect(await run()).toBeUndefined(),
  )

  it("books an id once, however short closed holds are kept", async () => {
    const clock = { at: Date.UTC(2026, 0, 15, 1) }
    const limits = [{ scope: "tenant", window: "total", usd: 1e-6 }] as const
    const store = sqliteBudget({ path: ":memory:", limits, keepClosedMs: 60_000, now: () => clock.at })
    await store.book(hold("beside", 100))
    for (const hours of [0.1, 23]) {
      clock.at += hours * 3_600_000
      for (let call = 0; call < 10; call++) await store.release(`${hours} ${call}`)
      await store.book(hold("beside", 100))
      expect(await store.status(ACME)).toMatchObject([{ spent: 100 }])
    }
  })

  it("takes an open database, keeps its ledgers apart there, and leaves it open", async () => {
    const database = new DatabaseSync(":memory:")
    const open = (ledger: string) => sqliteBudget({ database, ledger, limits: LIMITS })
    const [one, two] = [open("one"), open("two")]
    expect(await one.reserve(hold("a", 1_000))).toMatchObject({ granted: true })
    expect(await two.reserve(hold("a", 1_000))).toMatchObject({ granted: true })
    await one.settle("a", { money: nanoUsd(400), tokens: 0 })
    await one.close()
    expect(await two.status(ACME)).toMatchObject([{ held: 1_000, spent: 0 }])
    const again = open("one")
    expect(await again.status(ACME)).toMatchObject([{ held: 0, spent: 400 }])
    expect(database.isOpen).toBe(true)
  })

  it("keeps one ledger with another budget on the same connection, which SQLite does not tell of", async () => {
    const database = new DatabaseSync(":memory:")
    const [one, two] = [
      sqliteBudget({ database, limits: LIMITS }),
      sqliteBudget({ database, limits: LIMITS }),
    ]
    for (const [index, store] of [one, two, one, two].entries()) {
      expect(await store.reserve(hold(`${index}`, 250))).toMatchObject({ granted: true })
    }
    expect(await one.reserve(hold("e", 1))).toMatchObject({ granted: false })
    await two.settle("0", { money: nanoUsd(100), tokens: 0 })
    expect(await one.status(ACME)).toMatchObject([{ held: 750, spent: 100 }])
  })

  it("fails where a transaction was left open on its database, and goes on after it", async () => {
    const database = new DatabaseSync(":memory:")
    const store = sqliteBudget({ database, limits: LIMITS })
    await store.status(ACME)
    database.exec("begin")
    await expect(store.reserve(hold("a", 1))).rejects.toMatchObject({
      code: "budget-unavailable",
      problem: expect.stringContaining("within a transaction"),
    })
    database.exec("rollback")
    expect(await store.reserve(hold("b", 1))).toMatchObject({ granted: true })
  })

  it("answers nothing after it was closed", async () => {
    const store = sqliteBudget({ path: ":memory:", limits: LIMITS })
    await store.reserve(hold("a", 1))
    await store.close()
    await expect(store.status(ACME)).rejects.toMatchObject({ code: "budget-unavailable" })
    await store.close()
  })

  it("closes when what was asked for before is done", async () => {
    const store = sqliteBudget({ path: ":memory:", limits: LIMITS })
    await store.status(ACME)
    const asked = store.reserve(hold("a", 1))
    await store.close()
    expect(await asked).toMatchObject({ granted: true })
  })

  it("has one name for one place and ledger", () => {
    const named = (options: Partial<SqliteBudgetOptions>) => sqliteBudget({ limits: LIMITS, ...options }).name
    expect(named({ path: "budget.db" })).toBe(`sqlite:${process.cwd()}/budget.db#tierwise`)
    expect(named({ path: "./x/../budget.db" })).toBe(named({ path: "budget.db" }))
    expect(named({ path: "budget.db", ledger: "b" })).not.toBe(named({ path: "budget.db" }))
    expect(named({ path: ":memory:" })).not.toBe(named({ path: ":memory:" }))
  })

  it.for<[string, string, Partial<SqliteBudgetOptions>]>([
    ["no place", "budget.path", {}],
    ["two places", "budget.path", { path: "a.db", database: new DatabaseSync(":memory:") }],
    ["an empty path", "budget.path", { path: "" }],
    ["what is no database", "budget.database", { database: {} as DatabaseSync }],
    ["a closed database", "budget.database", { database: new DatabaseSync(":memory:", { open: false }) }],
    ["a pragma nobody knows", "budget.synchronous", { path: "a.db", synchronous: "off" as "full" }],
    [
      "a pragma for a database of others",
      "budget.synchronous",
      { database: new DatabaseSync(":memory:"), synchronous: "full" },
    ],
    ["a name with a space", "budget.ledger", { path: "a.db", ledger: "a b" }],
    ["ids that are forgotten at once", "budget.keepClosedMs", { path: "a.db", keepClosedMs: 59_999 }],
    ["no patience at all", "budget.lockTimeoutMs", { path: "a.db", lockTimeoutMs: -1 }],
    ["no limit", "budget.limits", { path: "a.db", limits: [] }],
  ])("refuses %s", ([, path, options]) => {
    expect(() => sqliteBudget({ limits: LIMITS, ...options })).toThrow(
      expect.objectContaining({ constructor: ConfigError, path }),
    )
  })
})

describe("migrateSqliteBudget", () => {
  it("makes the tables where there are none, and tells that there is nothing to do where they are", async () => {
    const database = new DatabaseSync(":memory:")
    expect(await migrateSqliteBudget({ database })).toEqual({ from: 0, to: 1 })
    expect(await migrateSqliteBudget({ database })).toEqual({ from: 1, to: 1 })
    expect(await sqliteBudget({ database, limits: LIMITS }).reserve(hold("a", 1))).toMatchObject({
      granted: true,
    })
  })

  it("fails for a file that cannot be opened, or is none", async () => {
    await expect(migrateSqliteBudget({ path: "/nowhere/at/all.db" })).rejects.toMatchObject({
      code: "budget-unavailable",
      store: "sqlite:/nowhere/at/all.db",
    })
    await expect(migrateSqliteBudget({})).rejects.toMatchObject({ path: "budget.path" })
  })
})
