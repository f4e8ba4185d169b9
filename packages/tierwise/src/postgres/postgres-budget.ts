import { ledger, type SharedBudgetOptions } from "../budget/ledger.ts"
import { DEFAULT_LEDGER, validLedgerName } from "../budget/ledger-name.ts"
import type { BudgetStore } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { askPostgres, type PostgresClient } from "./postgres-client.ts"
import { postgresEngine } from "./postgres-engine.ts"
import { quotedSchema } from "./schema-version.ts"

export interface PostgresBudgetOptions extends SharedBudgetOptions {
  /**
   * A `Pool` of `pg`, or what answers like one. It stays open when the budget is closed. A few connections per process
   * are best: more of them wait for the same rows.
   */
  readonly client: PostgresClient
  /** The PostgreSQL schema of the tables that `migratePostgresBudget` has made. Default `public`. */
  readonly schema?: string | undefined
  /**
   * How long one step may take, ms, waiting for a connection and for locks included; then it is a
   * `BudgetUnavailableError`. Default 5,000, at most 2,147,483,647.
   */
  readonly timeoutMs?: number | undefined
}

const DEFAULT_TIMEOUT_MS = 5_000

/** Longer than this no timer runs. */
const LONGEST_TIMEOUT_MS = 2_147_483_647

/** PostgreSQL gives up waiting for a lock before its caller does, so that the connection is free again. */
const PATIENCE = 0.8

/**
 * A budget in PostgreSQL (tested with 15), shared by all processes that use the same database, schema and ledger. At every
 * grant, spent + held ≤ limit in every scope. Time is the database's; what was granted or booked is as durable as its
 * commits are.
 *
 * A hold that expires is booked at its quote as `unconfirmed`: a lost call may have been billed. A settlement or a
 * release that still arrives, within a day, corrects it.
 *
 * @example
 * import { Pool } from "pg"
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 4 })
 * await migratePostgresBudget(pool) // once, e.g. when a new release is rolled out
 * const budget = postgresBudget({ client: pool, limits: [{ scope: "tenant", window: "month", usd: 100 }] })
 *
 * @throws ConfigError for an option that cannot work; with the first call also where the tables are missing or of another
 * version, or the ledger is kept with other limits.
 */
export function postgresBudget(options: PostgresBudgetOptions): BudgetStore {
  const { client, schema = "public", timeoutMs = DEFAULT_TIMEOUT_MS } = options
  checkClient(client)
  if (!(Number.isSafeInteger(timeoutMs) && timeoutMs > 0 && timeoutMs <= LONGEST_TIMEOUT_MS)) {
    const fix = `give whole milliseconds, 1 to ${LONGEST_TIMEOUT_MS}`
    throw new ConfigError("budget.timeoutMs", `${timeoutMs} is no duration`, fix)
  }
  const ledgerName = validLedgerName(options.ledger ?? DEFAULT_LEDGER)
  const quoted = quotedSchema(schema)
  const name = `postgres:${schema}.${ledgerName}`
  return ledger(
    postgresEngine({
      ask: askPostgres(client, name, timeoutMs),
      schema: quoted,
      ledger: ledgerName,
      name,
      patienceMs: Math.max(1, Math.floor(timeoutMs * PATIENCE)),
      now: options.now,
    }),
    options,
  )
}

function checkClient(client: Partial<PostgresClient> | undefined): void {
  if (typeof client?.query === "function") return
  const fix = "pass a Pool of pg, or what has query(text, values)"
  throw new ConfigError("budget.client", "it has no query()", fix)
}
