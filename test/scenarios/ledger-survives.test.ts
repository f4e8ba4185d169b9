import { type ChildProcess, fork } from "node:child_process"
import { copyFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { backup, DatabaseSync } from "node:sqlite"
import { Redis } from "ioredis"
import { Pool } from "pg"
import { type BudgetStatus, type BudgetStore, nanoUsd } from "tierwise"
import { migratePostgresBudget, postgresBudget } from "tierwise/postgres"
import { redisBudget } from "tierwise/redis"
import { sqliteBudget } from "tierwise/sqlite"
import { describe, expect, it } from "vitest"
import { judge } from "../bench/ledger/judge.ts"
import { limitsOf } from "../bench/ledger/story.ts"
import { integrityOf } from "../bench/ledger-kill/audit.ts"
import { killStory } from "../bench/ledger-kill/kill-story.ts"
import { describeWithService, type OwnServices, startOwnServices } from "../services.ts"
import type { News, Order, Progress, Report } from "./ledger-survives-process.ts"

/** Processes start slowly on a machine that is busy. */
const PATIENCE_MS = 60_000
const TEST_MS = 5 * PATIENCE_MS

/** A few of the holds that so many processes ask for at once. */
const LIMIT = 100_000

describe("processes that are killed", () => {
  it(
    "leave every bill in the ledger, and no limit broken [N1.atomic-across-processes]",
    async () => {
      const story = await killStory({ workers: 3, kills: 3, everyMs: 500, seed: 7 })
      expect(story).toMatchObject({
        killed: 3,
        integrity: "ok",
        breaches: 0,
        overrun: 0,
        withoutHold: 0,
        billedAndNotBooked: 0,
        unconfirmedBelowBill: 0,
        notExact: 0,
        rowsAstray: 0,
        scopesAstray: 0,
        heldAtEnd: 0,
      })
      expect(story.booked).toBeGreaterThanOrEqual(story.billed)
      // Without these it would have been easy.
      expect(story.writes).toBeGreaterThan(100)
      expect(story.unconfirmed).toBeGreaterThan(0)
      expect(story.refused).toBeGreaterThan(0)
      expect(story.reported).toBeGreaterThan(20)
    },
    TEST_MS,
  )
})

describeWithService("redis", () => {
  it(
    "is restarted under load: what was granted is settled, and nothing else [N1.atomic-across-processes]",
    async () => {
      await using services = await startOwnServices("redis")
      const at = services.url("redis")
      const reports = await overOutages({ store: "redis", at }, services, ["restart", "restart"])
      const client = new Redis(at)
      try {
        const budget = redisBudget({ client, limits: limitsOf(LIMIT) })
        expect(await comparedWith(reports, budget)).toEqual(NOTHING_AMISS)
      } finally {
        client.disconnect()
      }
    },
    TEST_MS,
  )
})

describeWithService("postgres", () => {
  it(
    "is restarted and killed under load: what was granted is settled, and nothing else [N1.atomic-across-processes]",
    async () => {
      await using services = await startOwnServices("postgres")
      const at = services.url("postgres")
      const client = new Pool({ connectionString: at, max: 1 })
      try {
        client.on("error", () => {})
        await migratePostgresBudget(client)
        const reports = await overOutages({ store: "postgres", at }, services, ["restart", "crash"])
        const budget = postgresBudget({ client, limits: limitsOf(LIMIT) })
        expect(await comparedWith(reports, budget)).toEqual(NOTHING_AMISS)
      } finally {
        await client.end()
      }
    },
    TEST_MS,
  )
})

describe("a SQLite ledger that is copied while processes write", () => {
  it(
    "is a ledger of some moment, and goes on [N1.atomic-across-processes]",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "tierwise-copied-"))
      const path = join(folder, "ledger.sqlite")
      const budget = sqliteBudget({ path, limits: limitsOf(LIMIT) })
      await using crew = hireCrew(2, { store: "sqlite", at: path })
      try {
        for (const [way, copy] of Object.entries(COPIES)) {
          await crew.settleMore()
          const copied = join(folder, `${way}.sqlite`)
          const before = await budget.status({ tenant: "acme" })
          await copy(path, copied)
          const after = await budget.status({ tenant: "acme" })
          await expectLedger(copied, before, after)
        }
        expect(await comparedWith(await crew.retire(), budget)).toEqual(NOTHING_AMISS)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
    TEST_MS,
  )
})

/** What SQLite's manual allows; the file alone may lack what stands in its log, and be torn. */
const COPIES: Readonly<Record<string, (from: string, to: string) => Promise<void>>> = {
  async files(from, to) {
    using reader = new DatabaseSync(from)
    using checkpointer = new DatabaseSync(from, { timeout: 5_000 })
    // While somebody reads, the log only grows: what changes in the file after this stands in the log as well.
    reader.exec("begin")
    reader.prepare("select count(*) from tierwise_holds").get()
    copyFileSync(from, to)
    await pause(30)
    checkpointer.exec("pragma wal_checkpoint(passive)")
    await pause(30)
    for (const part of ["-wal", "-shm"]) copyFileSync(`${from}${part}`, `${to}${part}`)
    reader.exec("rollback")
  },
  async vacuum(from, to) {
    using database = new DatabaseSync(from, { timeout: 5_000 })
    database.prepare("vacuum into ?").run(to)
  },
  async backup(from, to) {
    using database = new DatabaseSync(from)
    await backup(database, to)
  },
}

async function expectLedger(
  path: string,
  before: readonly BudgetStatus[],
  after: readonly BudgetStatus[],
): Promise<void> {
  const budget = sqliteBudget({ path, limits: limitsOf(LIMIT) })
  const statuses = await budget.status({ tenant: "acme" })
  expect(statuses).toHaveLength(2)
  for (const [index, { spent, held, limit }] of statuses.entries()) {
    expect(spent + held).toBeLessThanOrEqual(limit)
    expect(spent).toBeGreaterThanOrEqual(before[index]?.spent ?? Number.POSITIVE_INFINITY)
    expect(spent).toBeLessThanOrEqual(after[index]?.spent ?? 0)
    expect({ spent, held }).toEqual(sumOfHolds(path))
  }
  const other = sqliteBudget({ path, limits: limitsOf(LIMIT + 1) })
  await expect(other.status({})).rejects.toMatchObject({ path: "budget.limits" })

  const spent = statuses[0]?.spent ?? 0
  const live = liveHolds(path)
  expect(live.length).toBeGreaterThan(0)
  for (const id of live) expect(await budget.settle(id, money(1))).toMatchObject({ late: false })
  const next = await budget.reserve({ id: "next", scopes: { tenant: "acme" }, amount: money(10) })
  expect(next).toMatchObject({ granted: true })
  expect(await budget.status({ tenant: "acme" })).toMatchObject([
    { spent: spent + live.length, held: 10 },
    { spent: spent + live.length, held: 10 },
  ])
  await budget.close()
  using database = new DatabaseSync(path)
  expect(integrityOf(database)).toBe("ok")
}

function sumOfHolds(path: string): unknown {
  using database = new DatabaseSync(path)
  const sums = database.prepare(
    `select coalesce(sum(actual_money), 0) as spent,
       coalesce(sum(quoted_money) filter (where state = 'held'), 0) as held from tierwise_holds`,
  )
  return { ...sums.get() }
}

function liveHolds(path: string): readonly string[] {
  using database = new DatabaseSync(path)
  const rows = database.prepare("select id from tierwise_holds where state = 'held'").all()
  return rows.map(({ id }) => id as string)
}

type Outage = "restart" | "crash"

/** Processes that go on over all outages, with the stores they have. */
async function overOutages(
  { store, at }: { readonly store: "redis" | "postgres"; readonly at: string },
  services: OwnServices,
  outages: readonly Outage[],
): Promise<readonly Report[]> {
  await using crew = hireCrew(3, { store, at })
  await crew.settleMore()
  for (const outage of outages) {
    const before = crew.unavailable()
    if (outage === "crash") {
      services.crash(store)
      await crew.allFail()
    }
    await services.restart(store)
    await crew.settleMore()
    expect(crew.unavailable()).toBeGreaterThan(before)
  }
  // Not before they have ended may they be let go.
  return await crew.retire()
}

/** What the ledger says, beside what its processes know: all zeros if nothing was lost or held twice. */
async function comparedWith(reports: readonly Report[], budget: BudgetStore) {
  const { broken, refusals } = judge(
    reports.flatMap(({ seen }) => seen),
    LIMIT,
  )
  const known = sum(reports, (report) => report.known)
  const inDoubt = sum(reports, (report) => report.inDoubt)
  // Without these it would have been easy.
  expect(refusals).toBeGreaterThan(0)
  expect(known).toBeGreaterThan(0)

  // What was held for nobody is given back, or expires.
  const statusesOf = () => budget.status({ tenant: "acme" })
  await expect.poll(statusesOf, { timeout: PATIENCE_MS }).toMatchObject([{ held: 0 }, { held: 0 }])
  const statuses = await statusesOf()
  await budget.close()
  return {
    errors: reports.flatMap(({ errors }) => errors),
    broken,
    overrun: sum(statuses, ({ overrun }) => overrun),
    astray: statuses.map(({ spent, unconfirmed }) => spent - unconfirmed - known - inDoubt),
  }
}

const NOTHING_AMISS = { errors: [], broken: 0, overrun: 0, astray: [0, 0] }

interface Crew {
  /** Resolves when each has settled so many more. */
  settleMore(): Promise<void>
  /** Resolves when each has found the ledger unavailable once more. */
  allFail(): Promise<void>
  unavailable(): number
  /** Has all end what they are at. */
  retire(): Promise<readonly Report[]>
  [Symbol.asyncDispose](): Promise<void>
}

const MORE = 40
const HOLD_TTL_MS = 10_000

function hireCrew(size: number, { store, at }: Pick<Order, "store" | "at">): Crew {
  const workers = Array.from({ length: size }, (_, index) =>
    hire({ store, at, limit: LIMIT, holdTtlMs: HOLD_TTL_MS, name: `w${index}`, seed: index + 1 }),
  )
  const eachMore = async (of: (progress: Progress) => number, more: number) => {
    const before = workers.map(({ progress }) => of(progress()))
    const come = () =>
      workers.filter(({ progress }, index) => of(progress()) >= (before[index] ?? 0) + more).length
    await expect.poll(come, { timeout: PATIENCE_MS, interval: 10 }).toBe(size)
  }
  return {
    settleMore: () => eachMore(({ settled }) => settled, MORE),
    allFail: () => eachMore(({ unavailable }) => unavailable, 1),
    unavailable: () => sum(workers, ({ progress }) => progress().unavailable),
    retire: () => Promise.all(workers.map(({ retire }) => retire())),
    async [Symbol.asyncDispose]() {
      for (const { process: child } of workers) child.kill("SIGKILL")
    },
  }
}

interface Worker {
  readonly process: ChildProcess
  readonly progress: () => Progress
  readonly retire: () => Promise<Report>
}

function hire(order: Order): Worker {
  const child = fork(join(import.meta.dirname, "ledger-survives-process.ts"), {
    execArgv: ["--conditions=@tierwise/source"],
  })
  const reported = Promise.withResolvers<Report>()
  let progress: Progress = { settled: 0, unavailable: 0 }
  child.on("message", (news: News) => {
    if ("report" in news) reported.resolve(news.report)
    else progress = news.progress
  })
  // Comes after the last message, as the end of the process need not.
  child.once("disconnect", () => reported.reject(new Error("a process ended before it reported")))
  // Whoever is asked for no report may be killed.
  reported.promise.catch(() => {})
  child.send(order)
  return {
    process: child,
    progress: () => progress,
    retire() {
      child.send("stop")
      return reported.promise
    },
  }
}

function sum<T>(list: readonly T[], of: (one: T) => number): number {
  return list.reduce((total, one) => total + of(one), 0)
}

function money(amount: number) {
  return { money: nanoUsd(amount), tokens: 0 }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
