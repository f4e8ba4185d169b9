import { resolve } from "node:path"
import { ledger, type SharedBudgetOptions } from "../budget/ledger.ts"
import { CLOSED_ID_MS } from "../budget/ledger-engine.ts"
import { DEFAULT_LEDGER, validLedgerName } from "../budget/ledger-name.ts"
import type { BudgetStore } from "../spec/budget.ts"
import { BudgetUnavailableError, ConfigError, messageOf, TierwiseError } from "../spec/errors.ts"
import {
  type Connection,
  inTransaction,
  isLocked,
  openFile,
  type SqliteDatabase,
  type Synchronous,
} from "./database.ts"
import { patiently } from "./group-commit.ts"
import { raiseSchema, SCHEMA_STEPS } from "./schema.ts"
import { sqliteEngine } from "./sqlite-engine.ts"

/** Where the tables are. Exactly one of `path` and `database`. */
export interface SqliteTarget {
  /** The database's file, which is made on first use; its folder is not. `:memory:` is a ledger of this store alone. */
  readonly path?: string | undefined
  /**
   * An open connection, e.g. a `DatabaseSync` of `node:sqlite`. Its settings stay as they are, and it stays open; a long
   * busy timeout of it stops the process while another one writes. No transaction may be left open on it.
   */
  readonly database?: SqliteDatabase | undefined
}

export interface SqliteBudgetOptions extends SharedBudgetOptions, SqliteTarget {
  /**
   * With `path` only. `normal` (default): what was committed survives the death of any process, and the file is sound
   * after a power failure, which may undo the last commits. `full`: survives that as well; every commit waits for the disk.
   */
  readonly synchronous?: Synchronous | undefined
  /**
   * How long the row of a closed hold is kept, ms: with quote, cost and times, so that an invoice can be matched with it.
   * At least 60,000; what was booked without a hold is kept for a day at least. Default one day.
   */
  readonly keepClosedMs?: number | undefined
  /** How long other processes that write are waited for before the store counts as unavailable, ms. Default 5,000. */
  readonly lockTimeoutMs?: number | undefined
}

const DEFAULT_KEEP_CLOSED_MS = 86_400_000
const DEFAULT_LOCK_TIMEOUT_MS = 5_000

/**
 * A budget in a SQLite file: it survives a restart, and all processes of one machine can share it. Tables are made on
 * first use, in WAL mode; several ledgers live side by side in one file. At every grant, spent + held ≤ limit in every
 * scope, across all processes.
 *
 * Steps that are asked for in the same moment share a transaction, and each is answered after its commit.
 *
 * To copy the file while it is in use, take `vacuum into` or node:sqlite's `backup`: the file alone is not all.
 *
 * @throws ConfigError for a limit that is negative, fractional in tokens, empty, or given twice; an unknown zone; both or
 *   none of `path` and `database`. The first step throws it for other limits, and for tables of another version.
 */
export function sqliteBudget(options: SqliteBudgetOptions): BudgetStore {
  const { synchronous, now = Date.now } = options
  checkTarget(options, synchronous)
  const ledgerName = validLedgerName(options.ledger ?? DEFAULT_LEDGER)
  const keepClosedMs = validMs(
    options.keepClosedMs ?? DEFAULT_KEEP_CLOSED_MS,
    CLOSED_ID_MS,
    "budget.keepClosedMs",
  )
  const lockTimeoutMs = validMs(options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS, 0, "budget.lockTimeoutMs")
  const connect = connectorTo(options, synchronous ?? "normal")
  const name = `sqlite:${placeOf(options)}#${ledgerName}`
  const engine = sqliteEngine({
    name,
    ledger: ledgerName,
    connect,
    keepClosedMs,
    lockTimeoutMs,
    now,
    random: Math.random,
  })
  return ledger(engine, options)
}

/**
 * Brings tables that an older release has made up to this one's version, in one transaction. No process of the older
 * release may go on using them.
 *
 * @returns the versions before and after; 0: there were no tables.
 * @throws ConfigError if the tables are newer than this release; BudgetUnavailableError if the file cannot be opened.
 */
export async function migrateSqliteBudget(
  target: SqliteTarget,
): Promise<{ readonly from: number; readonly to: number }> {
  checkTarget(target, undefined)
  const name = `sqlite:${placeOf(target)}`
  const connect = connectorTo(target, "full")
  const patience = { isLocked, timeoutMs: DEFAULT_LOCK_TIMEOUT_MS, random: Math.random }
  try {
    const { database, close } = await patiently(connect, patience)
    try {
      const migrate = () => inTransaction(database, () => raiseSchema(database, name, SCHEMA_STEPS))
      return await patiently(migrate, patience)
    } finally {
      close()
    }
  } catch (error) {
    if (TierwiseError.isInstance(error)) throw error
    throw new BudgetUnavailableError(name, messageOf(error), { cause: error })
  }
}

function connectorTo({ path, database }: SqliteTarget, synchronous: Synchronous): () => Promise<Connection> {
  if (database === undefined) return () => openFile(path as string, synchronous)
  return async () => ({ database, isOwn: false, isMoved: () => false, close: () => {} })
}

/** Two stores of one place and ledger keep the same money; a database without a file is a place of its own. */
function placeOf({ path, database }: SqliteTarget): string {
  if (database === undefined)
    return path === ":memory:" ? `memory:${crypto.randomUUID()}` : resolve(path as string)
  const main = database.prepare("select file from pragma_database_list where name = 'main'").get()
  const { file } = (main ?? {}) as { readonly file?: string | null }
  return typeof file === "string" && file !== "" ? file : `memory:${crypto.randomUUID()}`
}

function checkTarget({ path, database }: SqliteTarget, synchronous: string | undefined): void {
  if ((path === undefined) === (database === undefined)) {
    const problem = path === undefined ? "it is missing" : "there is a `database` too"
    throw new ConfigError("budget.path", problem, "give the path of a file, or an open `database`")
  }
  if (path !== undefined && (typeof path !== "string" || path === "")) {
    throw new ConfigError("budget.path", "it is not the path of a file", 'give one, e.g. "budget.db"')
  }
  if (database !== undefined && !isOpen(database)) {
    const fix = "give a DatabaseSync of node:sqlite"
    throw new ConfigError("budget.database", "it is not an open SQLite database", fix)
  }
  if (synchronous === undefined) return
  if (synchronous !== "normal" && synchronous !== "full") {
    throw new ConfigError("budget.synchronous", `"${synchronous}" is not known`, "use normal or full")
  }
  if (database !== undefined) {
    const fix = "set the pragma on that connection"
    throw new ConfigError("budget.synchronous", "the `database` is not the budget's own", fix)
  }
}

function isOpen(database: SqliteDatabase): boolean {
  try {
    return database.prepare("select 1 as one").get() !== undefined
  } catch {
    return false
  }
}

function validMs(ms: number, least: number, path: string): number {
  if (Number.isFinite(ms) && ms >= least) return ms
  throw new ConfigError(path, `${ms} is too short, or no duration`, `give milliseconds, ${least} or more`)
}
