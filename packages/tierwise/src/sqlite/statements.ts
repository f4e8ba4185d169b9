import { BRACKET, type SqliteDatabase, type SqliteStatement } from "./database.ts"

/** All that is asked of the tables, once they are there. */
export type Statements = Readonly<Record<keyof typeof BRACKET | keyof typeof SQL, SqliteStatement>>

const HOLD = `number, id, state, request, counters, quoted_money, quoted_tokens, actual_money, actual_tokens,
  expires_at, due_at`

const SQL = {
  /** Changes when another connection has written. */
  version: "pragma data_version",

  ledger: `select id, limits_print, counted, (select version from tierwise_schema) as version
    from tierwise_ledgers where name = ?`,
  setCounted: "update tierwise_ledgers set counted = ? where id = ?",

  counter: `select unit, spent, held, unconfirmed, overrun, warned, open_holds, forget_at
    from tierwise_counters where ledger = ? and key = ?`,
  putCounter: `insert into tierwise_counters
      (ledger, key, unit, spent, held, unconfirmed, overrun, warned, open_holds, forget_at)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (ledger, key) do update set
      spent = excluded.spent, held = excluded.held, unconfirmed = excluded.unconfirmed,
      overrun = excluded.overrun, warned = excluded.warned,
      open_holds = excluded.open_holds, forget_at = excluded.forget_at`,
  forgetCounters: `delete from tierwise_counters where ledger = ? and key in (
    select key from tierwise_counters
    where ledger = ? and forget_at is not null and forget_at <= ? and open_holds = 0 limit ?)`,

  hold: `select ${HOLD} from tierwise_holds where ledger = ? and id = ?` as string,
  holdsAfter: `select ${HOLD} from tierwise_holds where number > ? and number <= ? order by number` as string,
  firstDue: `select min(due_at) as at from tierwise_holds
    where ledger = ? and state = 'held' and is_filed = 1`,
  dueHolds: `select id from tierwise_holds
    where ledger = ? and state = 'held' and is_filed = 1 and due_at <= ? order by due_at limit ?`,
  addHold: `insert into tierwise_holds
      (number, ledger, id, state, request, counters, quoted_money, quoted_tokens,
       reserved_at, expires_at, due_at, is_filed)
    values (?, ?, ?, 'held', ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (ledger, id) do nothing`,
  fileHolds: `update tierwise_holds set is_filed = 1
    where number > ? and number <= ? and state = 'held' and is_filed = 0`,
  extendHold: "update tierwise_holds set expires_at = ?, due_at = ? where number = ?",
  expireHold: "update tierwise_holds set state = 'unconfirmed', due_at = ? where number = ?",
  closeHold: `update tierwise_holds
    set state = ?, actual_money = ?, actual_tokens = ?, closed_at = ?, due_at = ?
    where number = ?`,
  addClosed: `insert into tierwise_holds
      (number, ledger, id, state, request, counters, quoted_money, quoted_tokens,
       actual_money, actual_tokens, closed_at, due_at, is_filed)
    values (?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, 0)`,
  keepHold: "update tierwise_holds set due_at = ? where number = ?",
  dropHold: "delete from tierwise_holds where number = ?",
  someHolds: `select count(*) as found, max(number) as last from (
    select number from tierwise_holds where number > ? and number <= ? order by number limit ?)`,
  forgetHolds: `delete from tierwise_holds where number in (
    select number from tierwise_holds
    where number > ? and number <= ? and state <> 'held' and due_at <= ? limit ?)`,
} as const

export function statements(database: SqliteDatabase): Statements {
  const prepared = Object.entries({ ...BRACKET, ...SQL }).map(([name, sql]) => [name, database.prepare(sql)])
  return Object.fromEntries(prepared) as Statements
}
