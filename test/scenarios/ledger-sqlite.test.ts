import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import fc from "fast-check"
import { type BudgetLimit, type BudgetStore, memoryBudget, nanoUsd } from "tierwise"
import { type SqliteBudgetOptions, sqliteBudget } from "tierwise/sqlite"
import { budgetStoreContract } from "tierwise/testing"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { Order, Told } from "./ledger-sqlite-process.ts"

const TENANTS: readonly BudgetLimit[] = [{ scope: "tenant", window: "day", usd: 1e-6 }]
const ACME = { tenant: "acme" }
const DAY_MS = 86_400_000

let folder: string
let path: string
let stores: BudgetStore[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tierwise-ledger-"))
  path = join(folder, "budget.db")
  stores = []
})

afterEach(async () => {
  // A store says what it could not book; here it is what a test has broken.
  await Promise.allSettled(stores.map((store) => store.close()))
  rmSync(folder, { recursive: true })
})

/** Closed after the test, if not before. */
function open(options: Partial<SqliteBudgetOptions> = {}): BudgetStore {
  const store = sqliteBudget({ path, limits: TENANTS, ...options })
  stores.push(store)
  return store
}

const amount = (money: number, tokens = 0) => ({ money: nanoUsd(money), tokens })

const hold = (id: string, money: number) => ({ id, scopes: ACME, amount: amount(money) })

/** Reads and writes the tables, past the budget. */
function query(sql: string, file = path): readonly Record<string, unknown>[] {
  const database = new DatabaseSync(file, { timeout: 5_000 })
  try {
    database.exec("pragma ignore_check_constraints = on")
    return database
      .prepare(sql)
      .all()
      .map((row) => ({ ...row }))
  } finally {
    database.close()
  }
}

describe("a file keeps the contract of every store", () => {
  let files = 0
  const cases = budgetStoreContract((options) =>
    sqliteBudget({ ...options, path: join(folder, `${files++}.db`) }),
  )
  it.for(cases)("$name", async ({ run }) => expect(await run()).toBeUndefined())
})

it("does what a budget in memory does, whatever comes in which order, from one process or from two", async () => {
  const limits: readonly BudgetLimit[] = [
    { scope: "tenant", window: "minute", usd: 60e-9, tokens: 40 },
    { scope: "global", window: "day", usd: 90e-9 },
    { scope: "user", window: "total", usd: 300e-9 },
  ]
  const id = fc.nat(5).map(String)
  const some = fc.record({ money: fc.nat(25).map(nanoUsd), tokens: fc.nat(15) })
  const scopes = fc.record({ tenant: fc.constantFrom("a", "b"), user: fc.constantFrom("u", "v") })
  const request = fc.record({ id, scopes, amount: some })
  let files = 0
  type Step = (store: BudgetStore) => Promise<unknown>
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 4,
      arbitrary: request.map(
        (request): Step =>
          (store) =>
            store.reserve(request),
      ),
    },
    {
      weight: 3,
      arbitrary: fc.tuple(id, some).map(
        ([id, actual]): Step =>
          (store) =>
            store.settle(id, actual),
      ),
    },
    {
      weight: 1,
      arbitrary: id.map(
        (id): Step =>
          (store) =>
            store.release(id),
      ),
    },
    {
      weight: 1,
      arbitrary: id.map(
        (id): Step =>
          (store) =>
            store.extend(id, 9_000),
      ),
    },
    {
      weight: 1,
      arbitrary: request.map(
        (request): Step =>
          (store) =>
            store.book(request),
      ),
    },
    {
      weight: 1,
      arbitrary: scopes.map(
        (scopes): Step =>
          (store) =>
            store.status(scopes),
      ),
    },
  )
  // The first has the ledger for itself most of the time.
  const who = fc.oneof(
    { weight: 4, arbitrary: fc.constant(0 as const) },
    { weight: 1, arbitrary: fc.constant(1 as const) },
  )
  const later = fc.oneof(
    { weight: 6, arbitrary: fc.nat(3_000) },
    { weight: 1, arbitrary: fc.constantFrom(59_999, 60_000, 3_600_000) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(later, who, step), { minLength: 1, maxLength: 30 }), async (steps) => {
      const clock = { at: Date.UTC(2026, 0, 15, 23, 59, 40) }
      const warned: unknown[][] = [[], []]
      const options = { limits, holdTtlMs: 6_000, now: () => clock.at }
      // Memory never forgets a closed id because of its age.
      const kept = { path: join(folder, `${files++}.db`), keepClosedMs: 365 * DAY_MS }
      const real = () => sqliteBudget({ ...options, ...kept, onWarning: (one) => warned[0]?.push(one) })
      const processes = [real(), real()] as const
      const model = memoryBudget({ ...options, onWarning: (one) => warned[1]?.push(one) })
      for (const [afterMs, who, take] of steps) {
        clock.at += afterMs
        expect(await outcomeOf(take(processes[who]))).toEqual(await outcomeOf(take(model)))
      }
      for (const tenant of ["a", "b"]) {
        const scopes = { tenant, user: "u" }
        for (const one of processes) expect(await one.status(scopes)).toEqual(await model.status(scopes))
      }
      expect(warned[0]).toEqual(warned[1])
      for (const one of processes) await one.close()
    }),
    { numRuns: 120 },
  )
})

/** What came of it; of an error its path. */
function outcomeOf(step: Promise<unknown>): Promise<unknown> {
  return step.catch((error: unknown) => ({ path: (error as { path?: unknown }).path }))
}

it("keeps a hold of nothing, whatever else there is to forget", async () => {
  const clock = { at: Date.UTC(2026, 0, 15, 12) }
  const store = open({ now: () => clock.at, holdTtlMs: 30 * DAY_MS })
  await store.reserve(hold("a", 0))
  clock.at += 5 * DAY_MS
  await store.status(ACME)
  expect(await store.settle("a", amount(3))).toEqual({ late: false, overrun: amount(3) })
})

describe("several processes on one file", () => {
  it("never hold and spend more than the limit together [N1.atomic-across-processes]", async () => {
    await open().status(ACME)
    // Looked at by SQLite with each change: nothing here costs more than its hold.
    query(`create trigger never_beyond before update on tierwise_counters
      when new.spent + new.held > 1000 begin select raise(abort, 'beyond the limit'); end`)
    const reports = await Promise.all(
      ["a", "b", "c"].map((name) => run({ path, limits: TENANTS, name, calls: 120, inFlight: 40 })),
    )
    const told = reports.flat()
    expect(told).toHaveLength(360)
    const granted = told.filter(({ granted }) => granted)
    expect(granted.length).toBeGreaterThan(60)
    expect(granted.length).toBeLessThan(360)
    for (const report of reports) expect(report.some(({ granted }) => granted)).toBe(true)
    const spent = granted.reduce((sum, { actual = 0 }) => sum + actual, 0)
    const held = granted.reduce((sum, { quoted, actual }) => sum + (actual === undefined ? quoted : 0), 0)
    expect(await open().status(ACME)).toMatchObject([{ spent, held, unconfirmed: 0, overrun: 0 }])
  })

  it("lose nothing when one is killed: what it was told is in the file, row by row", async () => {
    const [victim, told] = start({ path, limits: AMPLE, name: "v", calls: 100_000, inFlight: 40 })
    const other = run({ path, limits: AMPLE, name: "o", calls: 300, inFlight: 20 })
    await expect.poll(() => told.length, { timeout: 20_000 }).toBeGreaterThan(300)
    victim.kill("SIGKILL")
    await once(victim, "exit")
    const all = [...told, ...(await other)]
    expect(query("pragma integrity_check")).toEqual([{ integrity_check: "ok" }])
    const rows = new Map(query("select * from tierwise_holds").map((row) => [row["id"], row]))
    for (const { id, quoted, actual } of all) {
      const state = actual === undefined ? "held" : actual === 0 ? "released" : "settled"
      const expected = { state, quoted_money: quoted, actual_money: actual ?? null }
      expect(rows.get(id)).toMatchObject(expected)
    }
    const sums = query(`select sum(actual_money) as spent,
      sum(case when state = 'held' then quoted_money else 0 end) as held from tierwise_holds`)
    expect(await open({ limits: AMPLE }).status(ACME)).toMatchObject(sums)
    // The store has counted what came since the counters' rows were written.
    expect(query("select spent, held from tierwise_counters")).toEqual(sums)
    // Nobody will close what the killed one held: it is booked at its quote.
    const [{ held, spent } = { held: 0, spent: 0 }] = sums as { held: number; spent: number }[]
    const later = open({ limits: AMPLE, now: () => Date.now() + 700_000 })
    for (let looks = 0; looks < 20; looks++) await later.status(ACME)
    expect(await later.status(ACME)).toMatchObject([{ held: 0, unconfirmed: held, spent: spent + held }])
  })

  it("are kept to one set of limits: the later one is refused, and told what differs", async () => {
    await open().reserve(hold("a", 900))
    const limits: readonly BudgetLimit[] = [{ scope: "tenant", window: "day", usd: 2e-6 }]
    await expect(open({ limits }).reserve(hold("b", 1))).rejects.toMatchObject({
      code: "invalid-config",
      path: "budget.limits",
      problem: expect.stringMatching(/"limit":1000\D.*"limit":2000\D/),
    })
    const other = open({ timeZone: "Europe/Berlin" })
    await expect(other.status(ACME)).rejects.toThrow("time zone UTC, not Europe/Berlin")
    // The same in another order are the same.
    const two: readonly BudgetLimit[] = [...limits, { scope: "global", window: "day", usd: 1 }]
    await open({ ledger: "two", limits: two }).status(ACME)
    expect(await open({ ledger: "two", limits: two.toReversed() }).status(ACME)).toHaveLength(2)
  })

  it("go on with new limits that replace the old, which are refused from then on", async () => {
    const before = open()
    await before.reserve(hold("a", 900))
    const limits: readonly BudgetLimit[] = [{ scope: "tenant", window: "day", usd: 2e-6 }]
    const after = open({ limits, otherLimits: "replace" })
    expect(await after.reserve(hold("b", 1_000))).toMatchObject({ granted: true })
    await expect(before.reserve(hold("c", 1))).rejects.toMatchObject({ path: "budget.limits" })
    // What was granted is closed all the same.
    await before.settle("a", amount(800))
    expect(await after.status(ACME)).toMatchObject([{ spent: 800, held: 1_000, limit: 2_000 }])
  })
})

/** So much that nothing is refused. */
const AMPLE: readonly BudgetLimit[] = [{ scope: "tenant", window: "day", usd: 1 }]

describe("a ledger in a file", () => {
  it("survives a restart, with what is held, spent and closed", async () => {
    const before = open()
    await before.reserve(hold("held", 300))
    await before.reserve(hold("settled", 400))
    await before.settle("settled", amount(250))
    await before.close()
    const after = open()
    expect(await after.status(ACME)).toMatchObject([{ held: 300, spent: 250 }])
    expect(await after.reserve(hold("held", 300))).toMatchObject({ granted: true })
    expect(await after.settle("settled", amount(250))).toBeUndefined()
    await expect(after.reserve(hold("settled", 400))).rejects.toMatchObject({ path: "id" })
    expect(await after.settle("held", amount(310))).toEqual({ late: false, overrun: amount(10) })
    expect(await after.status(ACME)).toMatchObject([{ held: 0, spent: 560, overrun: 10 }])
  })

  it("can be copied with its log in the midst of work, and the copy is sound", async () => {
    const store = open({ limits: AMPLE })
    await store.status(ACME)
    let copies = 0
    const work = Array.from({ length: 600 }, async (_, index) => {
      await store.reserve(hold(`${index}`, 10))
      if (index % 150 === 0) {
        for (const end of ["", "-wal"]) copyFileSync(path + end, join(folder, `copy${copies}.db${end}`))
        copies++
      }
      await store.settle(`${index}`, amount(5))
    })
    await Promise.all(work)
    expect(copies).toBe(4)
    for (let copy = 0; copy < copies; copy++) {
      const file = join(folder, `copy${copy}.db`)
      expect(query("pragma integrity_check", file)).toEqual([{ integrity_check: "ok" }])
      const [status] = await open({ path: file, limits: AMPLE }).status(ACME)
      const sums = `select coalesce(sum(actual_money), 0) as spent, sum((state = 'held') * quoted_money) as held
        from tierwise_holds`
      expect(query(sums, file)).toEqual([{ spent: status?.spent, held: status?.held }])
      expect(status?.held).toBeGreaterThan(0)
    }
  })

  it("answers thousands at once, and grants what fits", async () => {
    const store = open()
    const outcomes = await Promise.all(
      Array.from({ length: 3_000 }, (_, index) => store.reserve(hold(`${index}`, 9))),
    )
    expect(outcomes.filter(({ granted }) => granted)).toHaveLength(111)
    await Promise.all(outcomes.map((_, index) => store.settle(`${index}`, amount(4))))
    expect(await store.status(ACME)).toMatchObject([{ spent: 444, held: 0 }])
  })

  it("counts exactly up to 2^53, also after a restart, and refuses to go beyond", async () => {
    const limits: readonly BudgetLimit[] = [
      { scope: "tenant", window: "day", tokens: Number.MAX_SAFE_INTEGER },
    ]
    const most = Number.MAX_SAFE_INTEGER
    const before = open({ limits })
    const request = (id: string, tokens: number) => ({ id, scopes: ACME, amount: amount(0, tokens) })
    await before.reserve(request("a", most - 1))
    expect(await before.reserve(request("b", 2))).toMatchObject({ granted: false, refusal: { remaining: 1 } })
    await before.settle("a", amount(0, most - 2))
    await before.close()
    const after = open({ limits })
    expect(await after.status(ACME)).toMatchObject([{ spent: most - 2, held: 0, remaining: 2 }])
    await after.reserve(request("c", 2))
    const beyond = { code: "invalid-config", path: "amount.tokens" }
    await expect(after.settle("c", amount(0, 3))).rejects.toMatchObject(beyond)
    await expect(after.book(request("d", 1))).rejects.toMatchObject(beyond)
    expect(await after.settle("c", amount(0, 2))).toEqual({ late: false, overrun: amount(0) })
    expect(await after.status(ACME)).toMatchObject([{ spent: most, held: 0, remaining: 0 }])
  })

  it("keeps closed holds for their invoices, then forgets them, and nothing that is open", async () => {
    const clock = { at: Date.UTC(2026, 0, 15, 12) }
    const store = open({ now: () => clock.at, holdTtlMs: 30 * DAY_MS, keepClosedMs: 2 * DAY_MS })
    await store.reserve({ ...hold("open", 5), scopes: { tenant: "other" } })
    for (let id = 0; id < 300; id++) await store.release(`${id}`)
    await store.reserve(hold("a", 5))
    await store.settle("a", amount(7))
    await store.book(hold("b", 3))
    const states = () =>
      query("select state, count(*) as n from tierwise_holds group by state order by state")
    const kept = [
      { state: "booked", n: 1 },
      { state: "held", n: 1 },
      { state: "settled", n: 1 },
      { state: "unknown", n: 300 },
    ]
    clock.at += 2 * DAY_MS - 1
    await store.status({})
    expect(states()).toEqual(kept)
    await expect(store.reserve(hold("7", 5))).rejects.toMatchObject({ path: "id" })
    clock.at += DAY_MS
    for (let looks = 0; looks < 6; looks++) await store.status({})
    expect(states()).toEqual([{ state: "held", n: 1 }])
    expect(query("select key from tierwise_counters")).toEqual([{ key: expect.stringContaining("other") }])
    expect(await store.settle("open", amount(7))).toEqual({ late: false, overrun: amount(2) })
  })

  it("lets a hold that expired long ago alone, and does not lend its id again", async () => {
    const clock = { at: Date.UTC(2026, 0, 15, 12) }
    const store = open({ now: () => clock.at, keepClosedMs: 7 * DAY_MS })
    await store.reserve(hold("a", 5))
    clock.at += 600_000 + DAY_MS
    expect(await store.settle("a", amount(3))).toBeUndefined()
    await expect(store.reserve(hold("a", 5))).rejects.toMatchObject({ path: "id" })
    expect(query("select state, quoted_money from tierwise_holds")).toEqual([
      { state: "unconfirmed", quoted_money: 5 },
    ])
  })
})

describe("while another process writes", () => {
  it("waits without stopping its own, and goes on", async () => {
    const store = open()
    await store.status(ACME)
    const writer = new DatabaseSync(path)
    writer.exec("begin immediate")
    const asked = store.reserve(hold("a", 1))
    let longestMs = 0
    for (let turn = 0, from = performance.now(); turn < 100; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      longestMs = Math.max(longestMs, performance.now() - from)
      from = performance.now()
    }
    writer.exec("commit")
    writer.close()
    expect(await asked).toMatchObject({ granted: true })
    expect(longestMs).toBeLessThan(1_000)
  })

  it("gives up after its time, holds nothing for it, and books later what was spent", async () => {
    const store = open({ lockTimeoutMs: 100 })
    await store.reserve(hold("a", 600))
    const writer = new DatabaseSync(path)
    writer.exec("begin immediate")
    const unavailable = {
      code: "budget-unavailable",
      store: `sqlite:${path}#tierwise`,
      problem: "another process has kept it locked for 100 ms",
    }
    await expect(store.reserve(hold("b", 1))).rejects.toMatchObject(unavailable)
    await expect(store.settle("a", amount(450))).rejects.toMatchObject(unavailable)
    writer.exec("commit")
    writer.close()
    await expect.poll(() => store.status(ACME), { timeout: 10_000 }).toMatchObject([{ held: 0, spent: 450 }])
    expect(await store.reserve(hold("c", 1))).toMatchObject({ granted: true })
  })

  it("opens, too, when many processes make one file at the same moment", async () => {
    const opened = Array.from({ length: 12 }, () => open({ limits: AMPLE }))
    await Promise.all(opened.map((store, index) => store.reserve(hold(`${index}`, 1))))
    expect(await open({ limits: AMPLE }).status(ACME)).toMatchObject([{ held: 12 }])
  })
})

describe("grants nothing", () => {
  it("while the file cannot be opened, and goes on when it can", async () => {
    const later = join(folder, "later")
    const store = open({ path: join(later, "budget.db") })
    await expect(store.reserve(hold("a", 1))).rejects.toMatchObject({
      code: "budget-unavailable",
      problem: "unable to open database file",
    })
    mkdirSync(later)
    expect(await store.reserve(hold("b", 1))).toMatchObject({ granted: true })
  })

  it("on a file that was removed while it was in use: others would not see it", async () => {
    const store = open()
    await store.reserve(hold("a", 600))
    for (const end of ["", "-wal", "-shm"]) rmSync(path + end)
    const moved = { code: "budget-unavailable", problem: expect.stringContaining("removed or replaced") }
    // So often it looks after its file.
    await new Promise((resolve) => setTimeout(resolve, 60))
    await expect(store.reserve(hold("b", 400))).rejects.toMatchObject(moved)
    expect(await open().reserve(hold("c", 1_000))).toMatchObject({ granted: true })
    await expect(store.settle("a", amount(5))).rejects.toMatchObject(moved)
  })

  it("on tables of another version, also if they change under it", async () => {
    const store = open()
    await store.reserve(hold("a", 1))
    query("update tierwise_schema set version = 2")
    const newer = {
      code: "invalid-config",
      path: "budget.schema",
      problem: expect.stringContaining("have version 2, and this release of tierwise uses version 1"),
    }
    await expect(store.reserve(hold("b", 1))).rejects.toMatchObject(newer)
    await expect(open().reserve(hold("b", 1))).rejects.toMatchObject(newer)
    query("update tierwise_schema set version = 1")
    expect(await store.reserve(hold("b", 1))).toMatchObject({ granted: true })
  })

  it("on rows that nobody can have written by accident: SQLite refuses them", async () => {
    await open().reserve(hold("a", 400))
    const database = new DatabaseSync(path)
    const counters = [
      "spent = -1",
      "held = 9007199254740992",
      "unconfirmed = 1",
      "spent = 'x'",
      "held = null",
    ]
    const holds = [
      "quoted_money = -1",
      "quoted_tokens = 1.5",
      "state = 'lost'",
      "state = 'settled'",
      "due_at = null",
    ]
    for (const [table, changes] of Object.entries({ counters, holds })) {
      for (const change of changes) {
        const sql = `update tierwise_${table} set ${change}`
        expect(() => database.exec(sql), sql).toThrow(/constraint|cannot store/)
      }
    }
    database.close()
  })

  it.for([
    "spent = -1",
    "held = -400",
    "unconfirmed = spent + 1",
    "overrun = spent + 1",
    "warned = -1",
    "open_holds = -1",
    "held = 9007199254740992",
    "spent = 9223372036854775807",
    "unit = 'EUR'",
  ])("on a counter with %s, and names it; others go on", async (change) => {
    const clock = { at: Date.UTC(2026, 0, 15, 12) }
    const store = open({ now: () => clock.at })
    await store.reserve(hold("a", 400))
    await store.reserve({ ...hold("other", 300), scopes: { tenant: "other" } })
    query(`update tierwise_counters set ${change} where key like '%acme%'`)
    const named = { code: "budget-unavailable", problem: expect.stringContaining('["tenant","acme","day"') }
    const outcomes = await Promise.allSettled([
      store.reserve(hold("b", 1)),
      store.settle("a", amount(1)),
      store.reserve({ ...hold("c", 1), scopes: { tenant: "other" } }),
    ])
    expect(outcomes).toMatchObject([{ reason: named }, { reason: named }, { value: { granted: true } }])
    clock.at += 600_000
    expect(await store.status({ tenant: "other" })).toMatchObject([{ held: 0, unconfirmed: 301 }])
    expect(query("select state from tierwise_holds where id in ('a', 'b')")).toEqual([{ state: "held" }])
  })

  it.for([
    "quoted_money = -400",
    "quoted_tokens = 9007199254740992",
    "counters = 'tenant'",
    "counters = '[[\"nobody\"]]'",
    "request = null",
    "expires_at = null",
  ])("for a hold with %s, and names it", async (change) => {
    const store = open()
    await store.reserve(hold("a", 400))
    query(`update tierwise_holds set ${change}`)
    await expect(store.settle("a", amount(1))).rejects.toMatchObject({
      code: "budget-unavailable",
      problem: expect.stringContaining('hold "a"'),
    })
    expect(await store.status(ACME)).toMatchObject([{ held: 400, spent: 0 }])
  })

  it("when the counter of a hold, or the ledger itself, is gone", async () => {
    const store = open()
    await store.reserve(hold("a", 400))
    query("delete from tierwise_counters")
    await expect(store.settle("a", amount(1))).rejects.toThrow(/hold "a" counts in \["tenant".*missing/)
    query("delete from tierwise_ledgers")
    await expect(store.reserve(hold("b", 1))).rejects.toThrow("its row in tierwise_ledgers is missing")
  })
})

/** Starts a process; what it tells is there as soon as it comes. */
function start(order: Order): readonly [ChildProcess, readonly Told[]] {
  const told: Told[] = []
  const child = fork(join(import.meta.dirname, "ledger-sqlite-process.ts"), {
    execArgv: ["--conditions=@tierwise/source"],
  })
  child.on("message", (one: Told) => told.push(one))
  child.send(order)
  return [child, told]
}

async function run(order: Order): Promise<readonly Told[]> {
  const [child, told] = start(order)
  // Its last words come before it hangs up.
  const [[code]] = await Promise.all([once(child, "exit"), once(child, "disconnect")])
  expect(code).toBe(0)
  return told
}
