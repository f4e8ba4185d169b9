import { once } from "node:events"
import { Redis } from "ioredis"
import { Pool } from "pg"
import { type BudgetStore, nanoUsd, TierwiseError } from "tierwise"
import { postgresBudget } from "tierwise/postgres"
import { redisBudget } from "tierwise/redis"
import { sqliteBudget } from "tierwise/sqlite"
import { limitsOf, type Seen, seeded } from "../bench/ledger/story.ts"

/** What one of several processes on one ledger is told once. It goes on until it is told to `stop`. */
export interface Order {
  readonly store: "sqlite" | "redis" | "postgres"
  /** A file, or the URL of a server. */
  readonly at: string
  readonly limit: number
  readonly holdTtlMs: number
  readonly name: string
  readonly seed: number
}

/** How far it has come. */
export interface Progress {
  readonly settled: number
  /** Steps that failed because the ledger could not be reached. */
  readonly unavailable: number
}

/** What it did, once it has ended. */
export interface Report extends Progress {
  /** Its holds; those that were never answered are not among them. */
  readonly seen: readonly Seen[]
  /** What was told to be settled and answered; and what the store still owed to the ledger. NanoUsd. */
  readonly known: number
  readonly inDoubt: number
  /** Whatever else went wrong. */
  readonly errors: readonly string[]
}

export type News = { readonly progress: Progress } | { readonly report: Report }

const CALLERS = 8
const LARGEST_HOLD = 20_000
/** Costs are small beside holds: what is spent does not run the ledger dry. */
const LARGEST_COST = 4
const REDIS_TIMEOUT_MS = 300
/** A hold that was never closed, by the clock of `Seen`. */
const NEVER = Number.MAX_SAFE_INTEGER

process.once("message", (order: Order) => void work(order))

async function work(order: Order): Promise<void> {
  const stop = new AbortController()
  process.once("message", () => stop.abort())
  const { budget, disconnect } = await open(order)
  const random = seeded(order.seed)
  const seen: Seen[] = []
  const errors: string[] = []
  let [settled, unavailable, known, inDoubt, calls] = [0, 0, 0, 0, 0]
  const failed = (error: unknown) => {
    if (TierwiseError.find(error)?.code === "budget-unavailable") unavailable++
    else errors.push(String(error))
    tell({ settled, unavailable })
  }
  const caller = async () => {
    while (!stop.signal.aborted) {
      const id = `${order.name}-${calls++}`
      const amount = 1 + Math.floor(random() * LARGEST_HOLD)
      const actual = Math.min(amount, Math.floor(random() * (LARGEST_COST + 1)))
      const askedAt = now()
      const outcome = await budget
        .reserve({ id, scopes: { tenant: "acme" }, amount: money(amount) })
        .catch(failed)
      if (outcome === undefined) {
        await pause(20)
        continue
      }
      const asked = { amount, askedAt, answeredAt: now() }
      if (!outcome.granted) {
        const { remaining } = outcome.refusal
        seen.push({ ...asked, granted: false, remaining, closedFrom: 0, closedAt: 0, actual: 0 })
        await pause(5)
        continue
      }
      await pause(random() * 10)
      const closedFrom = now()
      const hasFailed = await budget.settle(id, money(actual)).then(() => false, failed)
      const isKnown = hasFailed === false
      if (isKnown) {
        known += actual
        settled++
        tell({ settled, unavailable })
      } else inDoubt += actual
      const closedAt = isKnown ? now() : NEVER
      seen.push({ ...asked, granted: true, remaining: 0, closedFrom, closedAt, actual })
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  // Tells the ledger what it still has to know.
  await budget.close()
  disconnect()
  const report = { settled, unavailable, seen, known, inDoubt, errors }
  process.send?.({ report } satisfies News, () => process.disconnect())
}

interface Open {
  readonly budget: BudgetStore
  readonly disconnect: () => void
}

async function open({ store, at, limit, holdTtlMs }: Order): Promise<Open> {
  const options = { limits: limitsOf(limit), holdTtlMs }
  if (store === "sqlite") return { budget: sqliteBudget({ ...options, path: at }), disconnect: () => {} }
  if (store === "postgres") {
    const client = new Pool({ connectionString: at, max: 2 })
    return { budget: postgresBudget({ ...options, client }), disconnect: () => void client.end() }
  }
  // It stays away for longer than a step may take, however soon the server is back.
  const client = new Redis(at, { retryStrategy: () => 3 * REDIS_TIMEOUT_MS })
  client.on("error", () => {})
  await once(client, "ready")
  const budget = redisBudget({ ...options, client, timeoutMs: REDIS_TIMEOUT_MS })
  return { budget, disconnect: () => client.disconnect() }
}

function tell(progress: Progress): void {
  process.send?.({ progress } satisfies News)
}

function money(amount: number) {
  return { money: nanoUsd(amount), tokens: 0 }
}

function now(): number {
  return Number(process.hrtime.bigint())
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
