import { Redis } from "ioredis"
import pg from "pg"
import { type BudgetLimit, type BudgetStore, memoryBudget } from "tierwise"
import { migratePostgresBudget, postgresBudget } from "tierwise/postgres"
import { redisBudget } from "tierwise/redis"
import { sqliteBudget } from "tierwise/sqlite"

/** Where processes share a ledger. */
export const SHARED = ["sqlite", "redis", "postgres"] as const

export type SharedStore = (typeof SHARED)[number]

export type StoreName = "memory" | SharedStore

export interface StoreAddress {
  readonly store: StoreName
  /** A file, or the URL of a server; empty for memory. */
  readonly at: string
  /** Name of the ledger. */
  readonly ledger: string
}

export interface OpenStore {
  readonly budget: BudgetStore
  close(): Promise<void>
}

/** A hold that a busy machine is slow to close must not expire in the middle of a measurement. */
const HOLD_TTL_MS = 600_000

/** PostgreSQL gets slower with more: they wait for the same rows. */
const CONNECTIONS = 2

export async function openStore(
  { store, at, ledger }: StoreAddress,
  limits: readonly BudgetLimit[],
): Promise<OpenStore> {
  const options = { limits, ledger, holdTtlMs: HOLD_TTL_MS }
  if (store === "memory") return closing(memoryBudget(options))
  if (store === "sqlite") return closing(sqliteBudget({ ...options, path: at }))
  if (store === "redis") {
    const client = new Redis(at, { lazyConnect: true })
    await client.connect()
    const budget = redisBudget({ ...options, client, timeoutMs: 60_000 })
    return closing(budget, async () => client.disconnect())
  }
  const pool = new pg.Pool({ connectionString: at, max: CONNECTIONS })
  const budget = postgresBudget({ ...options, client: pool, timeoutMs: 60_000 })
  return closing(budget, () => pool.end())
}

function closing(budget: BudgetStore, alsoClose?: () => Promise<void>): OpenStore {
  return {
    budget,
    async close() {
      await budget.close()
      await alsoClose?.()
    },
  }
}

export async function prepareStore({ store, at }: Pick<StoreAddress, "store" | "at">): Promise<void> {
  if (store !== "postgres") return
  const pool = new pg.Pool({ connectionString: at, max: 1 })
  await migratePostgresBudget(pool)
  await pool.end()
}
