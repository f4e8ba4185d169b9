import { fork } from "node:child_process"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import { Client, Pool } from "pg"
import { type Amount, type BudgetLimit, type BudgetStore, nanoUsd } from "tierwise"
import {
  migratePostgresBudget,
  type PostgresBudgetOptions,
  type PostgresClient,
  postgresBudget,
} from "tierwise/postgres"
import { budgetStoreContract } from "tierwise/testing"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { describeWithService, startOwnServices } from "../services.ts"
import { doesAsMemoryDoes } from "./ledger-model.ts"
import type { Order } from "./ledger-postgres-process.ts"
import type { Spent } from "./ledger-spender.ts"

const TENANTS: readonly BudgetLimit[] = [{ scope: "tenant", window: "day", usd: 1e-6 }]
const ACME = { tenant: "acme" }
const DAY_MS = 86_400_000

describeWithService("postgres", (url) => {
  const schema = `test "${randomUUID()}"`
  const quoted = `"${schema.replaceAll('"', '""')}"`
  const pool = new Pool({ connectionString: url, max: 4 })
  const sql = (text: string) => pool.query(text)

  const open = (options: Partial<PostgresBudgetOptions> = {}) =>
    postgresBudget({ client: pool, schema, ledger: randomUUID(), limits: TENANTS, ...options })

  beforeAll(() => migratePostgresBudget(pool, { schema }))
  afterAll(async () => {
    await sql(`drop schema ${quoted} cascade`)
    await pool.end()
  })

  describe("keeps the contract of every store", () => {
    const cases = budgetStoreContract((options) => open(options))
    it.for(cases)("$name", async ({ run }) => {
      await expect(run()).resolves.toBeUndefined()
    })
  })

  it("does what a budget in memory does, whatever comes in which order", async () => {
    await expect(doesAsMemoryDoes(open)).resolves.toBeUndefined()
  })

  describe("two processes", () => {
    const run = (order: Omit<Order, "url" | "schema">) => runProcess({ url, schema, ...order })

    it("never hold and spend more than the limit together [N1.atomic-across-processes]", async () => {
      const ledger = randomUUID()
      // Looked at by PostgreSQL with each change: nothing here costs more than its hold.
      await sql(`alter table ${quoted}.tierwise_counters add constraint never_beyond
        check (ledger <> '${ledger}' or spent + held <= 1000)`)
      const reports = await Promise.all(
        ["a", "b"].map((name) => run({ ledger, limits: TENANTS, name, calls: 200 })),
      )
      const total = (of: keyof Spent) => reports.reduce((sum, report) => sum + report[of], 0)
      expect(Math.min(...reports.map(({ granted }) => granted))).toBeGreaterThan(0)
      expect(total("granted")).toBeLessThan(400)
      const [status] = await open({ ledger }).status(ACME)
      expect(status).toMatchObject({ spent: total("spent"), held: total("held") })
    })

    it("are kept to one set of limits: the later one is refused, and told what differs", async () => {
      const ledger = randomUUID()
      await open({ ledger }).status(ACME)
      const limits: readonly BudgetLimit[] = [{ scope: "tenant", window: "day", usd: 2e-6 }]
      await expect(open({ ledger, limits }).reserve(hold("a", 1))).rejects.toMatchObject({
        code: "invalid-config",
        path: "budget.limits",
        problem: expect.stringMatching(/"limit":1000\D.*"limit":2000\D/),
      })
    })

    it("go on with new limits that replace the old, which are refused from then on", async () => {
      const ledger = randomUUID()
      const before = open({ ledger })
      await before.reserve(hold("a", 900))
      const limits: readonly BudgetLimit[] = [{ scope: "tenant", window: "day", usd: 2e-6 }]
      const after = open({ ledger, limits, otherLimits: "replace" })
      expect(await after.reserve(hold("b", 1_000))).toMatchObject({ granted: true })
      await expect(before.reserve(hold("c", 1))).rejects.toMatchObject({ path: "budget.limits" })
      // What was granted is closed all the same.
      await before.settle("a", amount(800))
      expect(await after.status(ACME)).toMatchObject([{ spent: 800, held: 1_000, limit: 2_000 }])
    })
  })

  it("keeps ledgers of other names, and in other schemas, apart", async () => {
    const elsewhere = `test-${randomUUID()}`
    await migratePostgresBudget(pool, { schema: elsewhere })
    const stores = [
      open({ ledger: "one" }),
      open({ ledger: "two" }),
      open({ ledger: "one", schema: elsewhere }),
    ]
    for (const store of stores) expect(await store.reserve(hold("a", 1_000))).toMatchObject({ granted: true })
    await sql(`drop schema "${elsewhere}" cascade`)
  })

  it("answers a thousand at once, and grants what fits", async () => {
    const store = open({ timeoutMs: 20_000 })
    const outcomes = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => store.reserve(hold(`${index}`, 9))),
    )
    expect(outcomes.filter(({ granted }) => granted)).toHaveLength(111)
    await Promise.all(outcomes.map((_, index) => store.settle(`${index}`, amount(4))))
    expect(await store.status(ACME)).toMatchObject([{ spent: 444, held: 0 }])
  })

  it("waits for no lock in a circle, however scopes, expiries and repetitions mix", async () => {
    const many = new Pool({ connectionString: url, max: 8 })
    const limits: readonly BudgetLimit[] = ["global", "tenant", "user"].map((scope) => ({
      scope,
      window: "total",
      tokens: 1_000_000,
    }))
    const ledger = randomUUID()
    const stores = [1, 5, 60_000].map((holdTtlMs) => open({ client: many, ledger, limits, holdTtlMs }))
    const random = seeded(7)
    const pick = (count: number) => Math.floor(random() * count)
    const works = Array.from({ length: 600 }, () => {
      const [store, id] = [stores[pick(3)] as BudgetStore, `${pick(150)}`]
      const request = {
        id,
        scopes: { tenant: `t${pick(4)}`, user: `u${pick(4)}` },
        amount: amount(0, 1 + pick(5)),
      }
      const ways = [
        () => store.reserve(request).catch(unlessTaken),
        () => store.reserve(request).catch(unlessTaken),
        () => store.settle(id, amount(0, pick(9))),
        () => store.book(request),
        () => store.extend(id, 5),
        () => store.status(request.scopes),
      ]
      return ways[pick(6)] as () => Promise<unknown>
    })
    await Promise.all(works.map((work) => work()))
    await Promise.all(
      Array.from({ length: 150 }, (_, id) =>
        open({ client: many, ledger, limits }).settle(`${id}`, amount(0, 1)),
      ),
    )
    const { rows } =
      await sql(`select split_part(key, '"', 2) as scope, sum(spent) as spent, sum(held) as held,
      sum(open_holds) as open from ${quoted}.tierwise_counters where ledger = '${ledger}' group by 1 order by 1`)
    expect(rows.map(({ scope }) => scope)).toEqual(["global", "tenant", "user"])
    expect(new Set(rows.map(({ spent }) => spent)).size).toBe(1)
    expect(rows.every(({ held, open }) => held === "0" && open === "0")).toBe(true)
    await many.end()
  })

  it("takes one id once, however often it comes at the same moment", async () => {
    const many = new Pool({ connectionString: url, max: 8 })
    const store = open({ client: many })
    const eight = <T>(work: () => Promise<T>) => Promise.all(Array.from({ length: 8 }, work))
    for (let round = 0; round < 10; round++) {
      const id = `${round}`
      const outcomes = await eight(() => store.reserve(hold(id, 50)))
      expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1)
      const closings = await eight(() => store.settle(id, amount(7)))
      expect(closings.filter((closing) => closing !== undefined)).toHaveLength(1)
      await eight(() => store.book(hold(`booked ${id}`, 2)))
    }
    expect(await store.status(ACME)).toMatchObject([{ spent: 90, held: 0, overrun: 20 }])
    await many.end()
  })

  it("makes each counter once, however many are the first at the same moment", async () => {
    const many = new Pool({ connectionString: url, max: 8 })
    const windows = ["minute", "hour", "day", "week", "month", "total"] as const
    const limits = windows.map((window) => ({ scope: "tenant", window, tokens: 100, usd: 1 }))
    const store = open({ client: many, limits })
    for (let round = 0; round < 20; round++) {
      const scopes = { tenant: `${round}` }
      const ids = Array.from({ length: 8 }, (_, index) => `${round} ${index}`)
      await Promise.all(ids.map((id) => store.reserve({ id, scopes, amount: amount(0, 1) })))
      expect(await store.status(scopes)).toMatchObject(windows.flatMap(() => [{ held: 0 }, { held: 8 }]))
    }
    await many.end()
  })

  it("books each expired hold once, however many look at the same moment", async () => {
    const many = new Pool({ connectionString: url, max: 8 })
    const store = open({ client: many, holdTtlMs: 1 })
    for (let round = 0; round < 5; round++) {
      const scopes = { tenant: `${round}` }
      const ids = Array.from({ length: 20 }, (_, index) => `${round} ${index}`)
      await Promise.all(ids.map((id) => store.reserve({ id, scopes, amount: amount(9) })))
      await Promise.all(Array.from({ length: 24 }, () => store.status(scopes)))
      expect(await store.status(scopes)).toMatchObject([{ spent: 180, unconfirmed: 180, held: 0 }])
      const closings = await Promise.all(ids.map((id) => store.settle(id, amount(4))))
      expect(closings.every((closing) => closing?.late)).toBe(true)
      expect(await store.status(scopes)).toMatchObject([{ spent: 80, unconfirmed: 0, held: 0 }])
    }
    await many.end()
  })

  it("goes by PostgreSQL's clock, also about what day it is", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3 * DAY_MS })
    try {
      const store = open({ holdTtlMs: 60_000 })
      const { rows } = await sql("select floor(extract(epoch from clock_timestamp()) * 1000)::text as now")
      const outcome = await store.reserve(hold("a", 1))
      const madeAt = outcome.granted ? outcome.reservation.expiresAt - 60_000 : 0
      expect(madeAt - Number(rows[0].now)).toBeGreaterThanOrEqual(0)
      expect(madeAt - Number(rows[0].now)).toBeLessThan(10_000)
      const [status] = await store.status(ACME)
      expect(status).toMatchObject({ held: 1, startedAt: Math.floor(madeAt / DAY_MS) * DAY_MS })
    } finally {
      vi.useRealTimers()
    }
  })

  it("forgets closed ids and counters that are over, and nothing that is open", async () => {
    const clock = { at: Date.UTC(2026, 0, 15, 12) }
    const ledger = randomUUID()
    const store = open({ ledger, now: () => clock.at, holdTtlMs: 10 * DAY_MS })
    const count = async (table: string) => {
      const { rows } = await sql(`select count(*)::int from ${quoted}.${table} where ledger = '${ledger}'`)
      return rows[0].count
    }
    await store.reserve({ ...hold("open", 5), scopes: { tenant: "other" } })
    for (let id = 0; id < 200; id++) await store.release(`${id}`)
    await store.reserve(hold("a", 5))
    await store.settle("a", amount(5))
    clock.at += 3 * DAY_MS
    // One step in eight throws away, 128 at most.
    for (let id = 0; id < 150; id++) await store.release(`later ${id}`)
    expect(await count("tierwise_holds")).toBe(151)
    expect(await count("tierwise_counters")).toBe(1)
    expect(await store.settle("open", amount(7))).toEqual({ late: false, overrun: amount(2) })
  })

  describe("grants nothing on rows it cannot have written", () => {
    const counter = (ledger: string, change: string) =>
      sql(`update ${quoted}.tierwise_counters set ${change} where ledger = '${ledger}'`)

    it("lets nobody write them by hand", async () => {
      const ledger = randomUUID()
      await open({ ledger }).reserve(hold("a", 5))
      for (const change of ["spent = -1", "held = 9007199254740992", "unconfirmed = 1", "spent = null"]) {
        await expect(counter(ledger, change)).rejects.toThrow(/constraint/)
      }
    })

    it.for([
      "spent = -1",
      "held = -400",
      "held = null",
      "spent = 'NaN'",
      "unconfirmed = spent + 1",
      "overrun = spent + 1",
      "warned = -1",
      "open_holds = 0",
    ])("%s", async (change) => {
      await using poisoned = await openPoisoned()
      const { store, schema } = poisoned
      await store.reserve(hold("a", 400))
      await sql(`update "${schema}".tierwise_counters set ${change}`)
      const named = { code: "budget-unavailable", problem: expect.stringContaining('["tenant","acme","day"') }
      await expect(store.reserve(hold("b", 1))).rejects.toMatchObject(named)
      await expect(store.settle("a", amount(1))).rejects.toMatchObject(named)
      // Others go on.
      expect(await store.reserve({ ...hold("c", 1), scopes: { tenant: "other" } })).toMatchObject({
        granted: true,
      })
      const { rows } = await sql(
        `select count(*)::int from "${schema}".tierwise_holds where id = 'b' and state <> 'closed'`,
      )
      expect(rows[0].count).toBe(0)
    })

    it.for(["money = null", "tokens = -1", "counters = null", "counters = '{4711}'"])(
      "of a hold: %s",
      async (change) => {
        await using poisoned = await openPoisoned()
        const { store, schema } = poisoned
        await store.reserve(hold("a", 400))
        await sql(`update "${schema}".tierwise_holds set ${change}`)
        await expect(store.settle("a", amount(1))).rejects.toMatchObject({
          code: "budget-unavailable",
          problem: expect.stringMatching(/its hold a |4711/),
        })
        expect(await store.status(ACME)).toMatchObject([{ held: 400, spent: 0 }])
      },
    )

    it("a counter, or the ledger, that is gone", async () => {
      await using poisoned = await openPoisoned()
      const { store, schema } = poisoned
      await store.reserve(hold("a", 400))
      await sql(`delete from "${schema}".tierwise_counters`)
      await expect(store.settle("a", amount(1))).rejects.toThrow(/missing in tierwise_counters/)
      await sql(`delete from "${schema}".tierwise_ledgers`)
      await expect(store.reserve(hold("b", 1))).rejects.toThrow(/missing in tierwise_ledgers/)
    })

    it("and goes on with the expired holds of others", async () => {
      await using poisoned = await openPoisoned()
      const { store, schema, clock } = poisoned
      await store.reserve(hold("a", 400))
      await store.reserve({ ...hold("b", 300), scopes: { tenant: "other" } })
      await sql(`update "${schema}".tierwise_counters set warned = -1 where key like '%acme%'`)
      clock.at += 600_000
      expect(await store.status({ tenant: "other" })).toMatchObject([{ spent: 300, unconfirmed: 300 }])
    })

    /** A store in a schema of its own whose columns take anything. */
    async function openPoisoned() {
      const schema = `test-${randomUUID()}`
      await migratePostgresBudget(pool, { schema })
      for (const table of ["counters", "holds"]) {
        const { rows } = await sql(`select conname from pg_constraint where contype = 'c'
          and conrelid = '"${schema}".tierwise_${table}'::regclass`)
        const drops = rows.map(({ conname }) => `drop constraint "${conname}"`)
        await sql(`alter table "${schema}".tierwise_${table} ${drops.join(", ")}`)
      }
      await sql(`alter table "${schema}".tierwise_counters alter spent drop not null, alter held drop not null,
        alter spent type numeric; alter table "${schema}".tierwise_holds alter counters drop not null`)
      const clock = { at: Date.UTC(2026, 0, 15, 12) }
      return {
        schema,
        clock,
        store: open({ schema, now: () => clock.at }),
        [Symbol.asyncDispose]: async () => void (await sql(`drop schema "${schema}" cascade`)),
      }
    }
  })

  describe("the schema's version", () => {
    const fresh = async (run: (schema: string) => Promise<void>) => {
      const schema = `test-${randomUUID()}`
      try {
        await run(schema)
      } finally {
        await sql(`drop schema if exists "${schema}" cascade`)
      }
    }

    it("has to be made first: the error names what to run", () =>
      fresh(async (schema) => {
        const store = open({ schema })
        await expect(store.reserve(hold("a", 1))).rejects.toMatchObject({
          code: "invalid-config",
          path: "budget.schema",
          problem: expect.stringMatching(/are not there, .* uses version 1$/),
          fix: expect.stringContaining("migratePostgresBudget"),
        })
        await migratePostgresBudget(pool, { schema })
        expect(await store.reserve(hold("a", 1))).toMatchObject({ granted: true })
      }))

    it("is made once, however many make it at the same moment, and loses nothing", () =>
      fresh(async (schema) => {
        await Promise.all(Array.from({ length: 4 }, () => migratePostgresBudget(pool, { schema })))
        const store = open({ schema, ledger: "kept" })
        await store.reserve(hold("a", 700))
        await migratePostgresBudget(pool, { schema })
        expect(await store.status(ACME)).toMatchObject([{ held: 700 }])
        const { rows } = await sql(`select version from "${schema}".tierwise_schema`)
        expect(rows).toEqual([{ version: 1 }])
      }))

    it("of a newer release is refused, by a store and by the migration", () =>
      fresh(async (schema) => {
        await migratePostgresBudget(pool, { schema })
        await sql(`insert into "${schema}".tierwise_schema (version) values (2)`)
        const refused = {
          code: "invalid-config",
          path: "budget.schema",
          problem: expect.stringMatching(/have version 2, .* uses version 1$/),
        }
        await expect(open({ schema }).status(ACME)).rejects.toMatchObject(refused)
        await expect(migratePostgresBudget(pool, { schema })).rejects.toMatchObject(refused)
      }))

    it("is looked at again when its functions are gone under a running process", () =>
      fresh(async (schema) => {
        await migratePostgresBudget(pool, { schema })
        const store = open({ schema })
        await store.status(ACME)
        await sql(`insert into "${schema}".tierwise_schema (version) values (2);
          drop function "${schema}".tierwise_v1_read`)
        await expect(store.status(ACME)).rejects.toMatchObject({ path: "budget.schema" })
      }))
  })

  it("refuses options that cannot work, and connections that would see the past", async () => {
    const refuses = (path: string, options: Partial<PostgresBudgetOptions>) =>
      expect(() => open(options)).toThrow(expect.objectContaining({ code: "invalid-config", path }))
    refuses("budget.client", { client: {} as PostgresClient })
    refuses("budget.schema", { schema: "" })
    refuses("budget.schema", { schema: "é".repeat(32) })
    refuses("budget.ledger", { ledger: "a b" })
    for (const timeoutMs of [0, 1.5, -1, Number.NaN, 2 ** 31]) refuses("budget.timeoutMs", { timeoutMs })
    const client = new Pool({
      connectionString: url,
      options: "-c default_transaction_isolation=serializable",
    })
    await expect(open({ client }).status(ACME)).rejects.toMatchObject({
      path: "budget.client",
      problem: "its transactions are serializable",
    })
    await client.end()
  })

  it("does not wait for a lock that stays, holds nothing for it, and goes on when it is gone", async () => {
    const store = open({ ledger: "locked", timeoutMs: 400 })
    await store.reserve(hold("a", 1))
    const other = new Client({ connectionString: url })
    await other.connect()
    await other.query(`begin; select from ${quoted}.tierwise_counters where ledger = 'locked' for update`)
    const from = performance.now()
    await expect(store.reserve(hold("b", 1))).rejects.toMatchObject({
      code: "budget-unavailable",
      problem: expect.stringContaining("locked"),
    })
    expect(performance.now() - from).toBeLessThan(2_000)
    await expect(store.settle("a", amount(1))).rejects.toMatchObject({ code: "budget-unavailable" })
    await other.end()
    await expect.poll(() => store.status(ACME), { timeout: 10_000 }).toMatchObject([{ held: 0, spent: 1 }])
    await expect(store.reserve(hold("b", 1))).rejects.toMatchObject({ path: "id" })
  })

  it("does not wait for a connection that does not come free", async () => {
    const client = new Pool({ connectionString: url, max: 1 })
    const store = open({ client, timeoutMs: 300 })
    await store.status(ACME)
    const busy = client.query("select pg_sleep(1)")
    await expect(store.reserve(hold("a", 1))).rejects.toMatchObject({
      code: "budget-unavailable",
      problem: "it did not answer within 300 ms",
    })
    await busy
    // The reservation arrives all the same, and is given back.
    await expect.poll(() => store.settle("a", amount(1)), { timeout: 10_000 }).toBeUndefined()
    expect(await store.status(ACME)).toMatchObject([{ held: 0, spent: 0 }])
    await client.end()
  })

  it("fails closed while the server is away, books afterwards what was spent, and goes on", async () => {
    await using services = await startOwnServices("postgres")
    // Nobody listens for what the pool tells of connections that break.
    const client = new Pool({ connectionString: services.url("postgres") })
    await migratePostgresBudget(client)
    const store = postgresBudget({ client, limits: TENANTS, timeoutMs: 2_000 })
    await store.reserve(hold("a", 600))
    services.crash("postgres")
    // What was connected is still answered, until it notices.
    await expect.poll(() => client.query("select 1").catch(() => "gone")).toBe("gone")
    const unavailable = { code: "budget-unavailable", store: "postgres:public.tierwise" }
    await expect(store.reserve(hold("b", 1))).rejects.toMatchObject(unavailable)
    await expect(store.settle("a", amount(250))).rejects.toMatchObject(unavailable)
    await services.restart("postgres")
    await expect
      .poll(() => store.status(ACME).catch(() => undefined), { timeout: 20_000 })
      .toMatchObject([{ held: 0, spent: 250 }])
    expect(await store.reserve(hold("c", 750))).toMatchObject({ granted: true })
    await store.close()
    await client.end()
  })
})

function runProcess(order: Order): Promise<Spent> {
  const worker = fork(join(import.meta.dirname, "ledger-postgres-process.ts"), {
    execArgv: ["--conditions=@tierwise/source"],
  })
  worker.send(order)
  return new Promise((resolve, reject) => {
    worker.once("message", (report) => resolve(report as Spent))
    worker.once("exit", (code) => reject(new Error(`it ended with ${code} before it reported`)))
  })
}

function unlessTaken(error: { readonly path?: unknown }): void {
  if (error.path !== "id") throw error
}

function hold(id: string, money: number) {
  return { id, scopes: ACME, amount: amount(money) }
}

function amount(money: number, tokens = 0): Amount {
  return { money: nanoUsd(money), tokens }
}

/** The same numbers in [0, 1) with each run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
