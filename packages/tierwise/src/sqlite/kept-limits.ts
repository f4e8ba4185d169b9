import type { LedgerLimits } from "../budget/ledger-engine.ts"
import { otherLimits } from "../budget/other-limits.ts"
import type { SqliteDatabase } from "./database.ts"

/**
 * Writes down the limits of a ledger that has none, or puts these in the place of others where that is wanted. Runs
 * inside a transaction. @throws ConfigError saying what differs.
 */
export function keepLimits(
  database: SqliteDatabase,
  name: string,
  ledger: string,
  limits: LedgerLimits,
): void {
  const { print, json, replace } = limits
  const kept = database
    .prepare("select limits_print, limits from tierwise_ledgers where name = ?")
    .get(ledger) as { readonly limits_print: string; readonly limits: string } | undefined
  if (kept?.limits_print === print) return
  if (kept !== undefined && !replace) throw otherLimits(name, kept.limits, json)
  database
    .prepare(
      `insert into tierwise_ledgers (name, limits_print, limits) values (?, ?, ?)
       on conflict (name) do update set limits_print = excluded.limits_print, limits = excluded.limits`,
    )
    .run(ledger, print, json)
}
