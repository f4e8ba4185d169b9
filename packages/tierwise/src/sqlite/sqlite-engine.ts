import {
  type Counter,
  type EngineReserved,
  type Entry,
  LATE_CLOSING_MS,
  type LedgerEngine,
  printOf,
  SWEEP_AT_MOST,
  share,
  type Turned,
} from "../budget/ledger-engine.ts"
import { BudgetUnavailableError, TierwiseError } from "../spec/errors.ts"
import { type CounterRows, counterRows } from "./counter-rows.ts"
import { type Connection, inTransaction, isLocked } from "./database.ts"
import { groupCommit, type Patience, patiently, type StepOutcome } from "./group-commit.ts"
import { type HoldRow, type HoldRows, holdRows } from "./hold-rows.ts"
import { keepLimits } from "./kept-limits.ts"
import { openSchema, otherVersion, SCHEMA_STEPS } from "./schema.ts"
import { type Statements, statements } from "./statements.ts"

export interface SqliteEngineOptions {
  readonly name: string
  readonly ledger: string
  readonly connect: () => Promise<Connection>
  readonly keepClosedMs: number
  readonly lockTimeoutMs: number
  readonly now: () => number
  /** In [0, 1). */
  readonly random: () => number
  /** Default `SCHEMA_STEPS`. */
  readonly schemaSteps?: readonly string[] | undefined
}

/** What one step sees and changes. */
interface Rows {
  /** The moment of the transaction, epoch ms. */
  readonly at: number
  /** Of the limits that the ledger is kept with. */
  readonly limitsPrint: string
  readonly counters: CounterRows
  readonly holds: HoldRows
}

/** The ledger as the tables had it when this process last looked, or made it. */
interface Known extends Rows {
  at: number
  /** `data_version` at that time: if it is the same again, nobody else has written. */
  readonly version: number
}

interface Opened extends Connection {
  readonly prepared: Statements
}

/** How often at most rows that may be dropped are looked for, once there were none, ms. */
const FORGET_EVERY_MS = 1_000

/** Holds that come until the counters' rows are written: each row that a commit changes costs it as much as the others. */
const MOST_UNCOUNTED = 64

/** A ledger's numbers in a SQLite database. */
export function sqliteEngine(options: SqliteEngineOptions): LedgerEngine {
  const { name, ledger, connect, keepClosedMs, now } = options
  const { schemaSteps = SCHEMA_STEPS } = options
  const patience: Patience = { isLocked, timeoutMs: options.lockTimeoutMs, random: options.random }
  const group = groupCommit<Rows>({ transact, patience })
  let connection: Connection | undefined
  let opened: Opened | undefined
  let known: Known | undefined
  let forgetFrom = Number.NEGATIVE_INFINITY
  /** So many of the ledger's holds were looked at for some to drop. */
  let lookedThrough = 0

  function transact(steps: readonly ((rows: Rows) => unknown)[]): readonly StepOutcome[] {
    if (opened === undefined) throw new BudgetUnavailableError(name, "it was closed")
    const { database, prepared, isMoved, isOwn } = opened
    const before = known
    // Until it is committed, nothing is known.
    known = undefined
    const done = inTransaction(
      database,
      () => {
        // What is written to a file that has no name any more counts for nobody else.
        if (isMoved())
          throw new BudgetUnavailableError(name, "its file was removed or replaced; restart this process")
        const { data_version: version } = prepared.version.get() as { readonly data_version: number }
        const at = Math.floor(now())
        const isAlone = isOwn && before?.version === version
        const rows = isAlone ? before : rowsOf(prepared, version, at)
        rows.at = at
        // Others would have to read what is not counted, each time.
        rows.holds.willCount = !isAlone || steps.length > MOST_UNCOUNTED
        // A call leaves few rows, and a step takes more away: nothing heaps up.
        const most = SWEEP_AT_MOST + 4 * steps.length
        if (rows.at >= forgetFrom && !forget(rows, most)) forgetFrom = rows.at + FORGET_EVERY_MS
        rows.holds.expire(most)
        const outcomes = steps.map((step) => outcomeOf(step, rows))
        const { holds, counters } = rows
        const mustCount = counters.mustWrite || holds.mustCount || holds.willCount
        if (mustCount || holds.uncounted > MOST_UNCOUNTED) count(rows)
        return { rows, outcomes }
      },
      prepared,
    )
    known = done.rows
    return done.outcomes
  }

  /** Drops what need not be kept; true if there may be more. Comes first: no row is read that is dropped then. */
  function forget(rows: Rows, most: number): boolean {
    count(rows)
    const dropped = rows.counters.forget(most)
    const looked = rows.holds.forget(lookedThrough, most)
    lookedThrough = looked.through
    return looked.isMore || dropped >= most
  }

  function rowsOf(prepared: Statements, version: number, at: number): Known {
    const row = prepared.ledger.get(ledger) as
      | {
          readonly id: number
          readonly limits_print: string
          readonly counted: number
          readonly version: number | null
        }
      | undefined
    if (row === undefined) throw new BudgetUnavailableError(name, "its row in tierwise_ledgers is missing")
    const { id, limits_print: limitsPrint, counted } = row
    if (row.version !== schemaSteps.length) throw otherVersion(name, row.version ?? 0, schemaSteps.length)
    const moment = { at }
    const shared = { store: name, ledger: id, prepared, at: () => moment.at }
    const counters = counterRows(shared)
    const holds = holdRows({ ...shared, counters, keepClosedMs, counted })
    return Object.assign(moment, { version, limitsPrint, counters, holds })
  }

  return {
    name,

    async open(limits) {
      connection ??= await patiently(connect, patience)
      const { database } = connection
      const prepare = () => {
        openSchema(database, name, schemaSteps)
        keepLimits(database, name, ledger, limits)
        return statements(database)
      }
      const prepared = await patiently(() => inTransaction(database, prepare), patience)
      opened = { ...connection, prepared }
    },

    reserve: (entry, ttlMs, limitsPrint) =>
      group.run(({ at, limitsPrint: kept, counters, holds }) => {
        if (kept !== limitsPrint) return { outcome: "other-limits" }
        const against = turnedAt(entry.counters, at) ?? refusalIn(counters, entry)
        const granted = against === undefined ? holds.add(entry, ttlMs) : undefined
        if (granted !== undefined) return { outcome: "granted", expiresAt: granted }
        const known = holds.find(entry.id)
        if (known !== undefined) {
          const isSame = isOpen(known, at) && known.request === printOf(entry)
          return isSame ? { outcome: "granted", expiresAt: known.expiresAt } : { outcome: "taken" }
        }
        // There was a row of that id, and it was so old that it is dropped.
        return against ?? { outcome: "granted", expiresAt: holds.add(entry, ttlMs) as number }
      }),

    close: (id, actual) =>
      group.run(({ at, holds }) => {
        const known = holds.find(id)
        if (known !== undefined && isOpen(known, at)) return holds.close(known, actual)
        holds.remember(id, known, actual)
        return undefined
      }),

    extend: (id, ttlMs) =>
      group.run(({ holds }) => {
        const known = holds.find(id)
        if (known?.state !== "held") return false
        holds.extend(known, ttlMs)
        return true
      }),

    book: (entry) =>
      group.run(({ at, counters, holds }) => {
        const turned = turnedAt(entry.counters, at)
        if (turned !== undefined) return turned
        if (holds.find(entry.id) === undefined) holds.book(entry)
        return { outcome: "booked", totals: entry.counters.map(({ key }) => counters.totals(key)) }
      }),

    read: (named) =>
      group.run(
        ({ at, counters }) =>
          turnedAt(named, at) ?? { outcome: "read", totals: named.map(({ key }) => counters.totals(key)) },
      ),

    claim: ({ key }, level) => group.run(({ counters }) => counters.warn(key, level)),

    async end() {
      await group.idle()
      connection?.close()
      connection = undefined
      opened = undefined
    },
  }
}

/** Whatever is wrong with a request or a row is found before the step writes; what a driver throws, perhaps not. */
function outcomeOf(step: (rows: Rows) => unknown, rows: Rows): StepOutcome {
  try {
    return { outcome: "done", answer: step(rows) }
  } catch (error) {
    if (!TierwiseError.isInstance(error)) throw error
    return { outcome: "failed", error }
  }
}

/** Writes to the counters' table all that the holds have brought. */
function count({ counters, holds }: Rows): void {
  counters.write()
  holds.count()
}

/** The first counter that has no room. */
function refusalIn(counters: CounterRows, { amount, counters: named }: Entry): EngineReserved | undefined {
  for (const counter of named) {
    const totals = counters.totals(counter.key)
    const wanted = share(amount, counter)
    if (wanted > 0 && totals.spent + totals.held + wanted > counter.limit)
      return { outcome: "refused", totals }
  }
  return undefined
}

/** False: it is closed, or expired so long ago that nobody closes it any more. */
function isOpen({ state, expiresAt }: HoldRow, at: number): boolean {
  return state === "held" || (state === "unconfirmed" && at < expiresAt + LATE_CLOSING_MS)
}

function turnedAt(counters: readonly Counter[], at: number): Turned | undefined {
  const isNow = counters.every(({ start, end }) => at >= start && at < end)
  return isNow ? undefined : { outcome: "turned", now: at }
}
