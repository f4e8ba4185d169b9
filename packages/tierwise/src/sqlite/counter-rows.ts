import {
  beyondCounting,
  type Counter,
  checkedTotals,
  KEPT_AFTER_USE_MS,
  type Totals,
} from "../budget/ledger-engine.ts"
import type { BudgetUnit } from "../spec/budget.ts"
import { END_OF_TIME, impossible, moment, readable } from "./readable.ts"
import type { Statements } from "./statements.ts"

export interface CounterRow extends Totals {
  readonly unit: BudgetUnit
  /** Holds that are live in it, also of nothing: as long as there are any, the row stays. */
  readonly openHolds: number
  /** Epoch ms; null: never. */
  readonly forgetAt: number | null
}

/** What is added to a row's sums. */
export interface CounterChange {
  readonly spent?: number
  readonly held?: number
  readonly unconfirmed?: number
  readonly overrun?: number
  readonly openHolds?: number
}

/**
 * One ledger's counters. What was read or written stays at hand until others have written; the table is told now and
 * then, as it can be counted again from the holds that came since.
 */
export interface CounterRows {
  /** What is counted; zero where there is no row yet. */
  totals(key: string): Totals
  find(key: string): CounterRow | undefined
  /** The row of a counter in its present turn, made if there is none. */
  present(counter: Counter): CounterRow
  /**
   * Changes all rows or none. @throws ConfigError for a sum beyond 2^53; BudgetUnavailableError for one that cannot be.
   */
  add(rows: readonly CounterRow[], changeOf: (row: CounterRow) => CounterChange): void
  /** True if the level is raised from the one below. */
  warn(key: string, level: number): boolean
  /** Drops so many at most that nobody will ask for, and tells how many it found. All must be written. */
  forget(most: number): number
  /** True for a change that no hold tells of: the table must be told in this transaction. */
  readonly mustWrite: boolean
  write(): void
}

export interface CounterRowsOptions {
  /** For errors. */
  readonly store: string
  readonly ledger: number
  readonly prepared: Statements
  /** The moment of the transaction, epoch ms. */
  readonly at: () => number
}

/** What stands in the table besides the totals. */
interface Read {
  readonly unit: BudgetUnit
  readonly open_holds: number
  readonly forget_at: number | null
}

type Sums = Omit<CounterRow, "unit" | "forgetAt">

type Kept = { -readonly [Name in keyof CounterRow]: CounterRow[Name] }

const UNITS: readonly BudgetUnit[] = ["NanoUsd", "tokens"]

/** Counters kept at hand. */
const MOST_AT_HAND = 10_000

export function counterRows({ store, ledger, prepared, at }: CounterRowsOptions): CounterRows {
  const rows = new Map<string, Kept>()
  const unwritten = new Set<Kept>()
  let mustWrite = false

  function find(key: string): Kept | undefined {
    const known = rows.get(key)
    if (known !== undefined) return known
    const what = `counter ${key}`
    const read = readable(store, what, () => prepared.counter.get(ledger, key)) as
      | (Omit<Totals, "key"> & Read)
      | undefined
    if (read === undefined) return undefined
    const { unit, open_holds: openHolds, forget_at: forgetAt } = read
    if (!UNITS.includes(unit) || !(openHolds >= 0)) throw impossible(store, what, read)
    const row = { ...checkedTotals(store, totalsOf({ ...read, key })), unit, openHolds, forgetAt }
    rows.set(key, row)
    return row
  }

  function present({ key, unit, forgetAt }: Counter): Kept {
    const known = find(key)
    if (known !== undefined) {
      keepUntil(known, forgetAt)
      return known
    }
    const row: Kept = { key, unit, openHolds: 0, forgetAt: 0, ...ZEROS }
    keepUntil(row, forgetAt)
    rows.set(key, row)
    unwritten.add(row)
    mustWrite = true
    return row
  }

  function keepUntil(row: Kept, forgetAt: number): void {
    if (row.forgetAt === null || row.forgetAt >= forgetAt) return
    const until = moment(forgetAt)
    row.forgetAt = until === END_OF_TIME ? null : until
  }

  function changed(row: CounterRow, change: CounterChange): Sums {
    const { spent = 0, held = 0, unconfirmed = 0, overrun = 0, openHolds = 0 } = change
    const after = {
      key: row.key,
      spent: row.spent + spent,
      held: row.held + held,
      unconfirmed: row.unconfirmed + unconfirmed,
      overrun: row.overrun + overrun,
      warned: row.warned,
      openHolds: row.openHolds + openHolds,
    }
    if (after.spent + after.held > Number.MAX_SAFE_INTEGER) throw beyondCounting(store, row.unit)
    checkedTotals(store, after)
    if (after.openHolds < 0) throw impossible(store, `counter ${row.key}`, after)
    return after
  }

  /** Field by field: to copy them in one takes longer than all the rest. */
  function change(row: Kept, { spent, held, unconfirmed, overrun, openHolds }: Sums): void {
    row.spent = spent
    row.held = held
    row.unconfirmed = unconfirmed
    row.overrun = overrun
    row.openHolds = openHolds
    keepUntil(row, at() + KEPT_AFTER_USE_MS)
    unwritten.add(row)
  }

  return {
    totals: (key) => totalsOf(find(key) ?? { key, ...ZEROS }),
    find,
    present,

    add(named, changeOf) {
      const afterwards = named.map((row) => changed(row, changeOf(row)))
      for (const [index, row] of named.entries()) change(row, afterwards[index] as Sums)
    },

    warn(key, level) {
      const row = find(key)
      if (row?.warned !== level - 1) return false
      row.warned = level
      unwritten.add(row)
      mustWrite = true
      return true
    },

    forget(most) {
      const found = Number(prepared.forgetCounters.run(ledger, ledger, at(), most).changes)
      if (found > 0) rows.clear()
      return found
    },

    get mustWrite() {
      return mustWrite
    },

    write() {
      for (const row of unwritten) {
        const { key, unit, spent, held, unconfirmed, overrun, warned, openHolds, forgetAt } = row
        prepared.putCounter.run(
          ledger,
          key,
          unit,
          spent,
          held,
          unconfirmed,
          overrun,
          warned,
          openHolds,
          forgetAt,
        )
      }
      unwritten.clear()
      mustWrite = false
      if (rows.size > MOST_AT_HAND) rows.clear()
    },
  }
}

const ZEROS = { spent: 0, held: 0, unconfirmed: 0, overrun: 0, warned: 0 }

function totalsOf({ key, spent, held, unconfirmed, overrun, warned }: Totals): Totals {
  return { key, spent, held, unconfirmed, overrun, warned }
}
