import { BudgetUnavailableError, ConfigError } from "../spec/errors.ts"
import type { SqliteDatabase } from "./database.ts"

/** The largest integer that JavaScript keeps exactly. */
const MOST = Number.MAX_SAFE_INTEGER

/** The numbers of a ledger's holds begin after its id times this: so they stand together in the one table. */
export const NUMBERS_EACH: number = 2 ** 40

/**
 * How the tables came to be what they are. A schema of version n is made by the first n steps; a step that was once
 * published is never changed.
 */
export const SCHEMA_STEPS: readonly string[] = [
  `
  create table tierwise_ledgers (
    id integer primary key constraint no_more_than_8190_ledgers check (id between 1 and 8190),
    name text not null unique,
    limits_print text not null,
    limits text not null,
    -- The counters' rows have counted so many of its holds; what came after is counted from the holds.
    counted integer not null default 0 check (counted between 0 and ${NUMBERS_EACH})
  ) strict;

  create table tierwise_counters (
    ledger integer not null,
    key text not null,
    unit text not null check (unit in ('NanoUsd', 'tokens')),
    spent integer not null check (spent between 0 and ${MOST}),
    held integer not null check (held between 0 and ${MOST}),
    unconfirmed integer not null check (unconfirmed between 0 and spent),
    overrun integer not null check (overrun between 0 and spent),
    warned integer not null check (warned >= 0),
    open_holds integer not null check (open_holds >= 0),
    forget_at integer,
    primary key (ledger, key),
    check (spent + held <= ${MOST})
  ) strict, without rowid;
  create index tierwise_counters_to_forget on tierwise_counters (ledger, forget_at) where forget_at is not null;

  -- In the order in which they came: what is new stands together.
  create table tierwise_holds (
    number integer primary key check (number between ledger * ${NUMBERS_EACH} and (ledger + 1) * ${NUMBERS_EACH}),
    ledger integer not null,
    id text not null,
    state text not null check (state in ('held', 'unconfirmed', 'settled', 'released', 'booked', 'unknown')),
    request text,
    counters text not null,
    quoted_money integer not null check (quoted_money between 0 and ${MOST}),
    quoted_tokens integer not null check (quoted_tokens between 0 and ${MOST}),
    actual_money integer check (actual_money between 0 and ${MOST}),
    actual_tokens integer check (actual_tokens between 0 and ${MOST}),
    reserved_at integer,
    expires_at integer,
    closed_at integer,
    due_at integer not null,
    -- 1: it stands in tierwise_holds_to_expire while it is held; most are closed before that pays.
    is_filed integer not null check (is_filed in (0, 1)),
    unique (ledger, id),
    check ((state in ('held', 'unconfirmed')) = (closed_at is null)),
    check ((closed_at is null) = (actual_money is null) and (closed_at is null) = (actual_tokens is null)),
    check (state not in ('held', 'unconfirmed') or (request is not null and expires_at is not null))
  ) strict;
  create index tierwise_holds_to_expire on tierwise_holds (ledger, due_at) where state = 'held' and is_filed = 1;
  `,
]

/**
 * Makes the tables in a database that has none. Runs inside a transaction.
 *
 * @throws ConfigError for tables of an older version, which only `migrateSqliteBudget` changes, or of a newer one.
 */
export function openSchema(database: SqliteDatabase, name: string, steps: readonly string[]): void {
  const version = versionOf(database, name)
  if (version === 0) {
    raiseSchema(database, name, steps)
    return
  }
  if (version !== steps.length) throw otherVersion(name, version, steps.length)
}

/** Brings the tables up to the last step, inside a transaction. @throws ConfigError if they are newer than that. */
export function raiseSchema(
  database: SqliteDatabase,
  name: string,
  steps: readonly string[],
): { readonly from: number; readonly to: number } {
  const from = versionOf(database, name)
  const to = steps.length
  if (from > to) throw otherVersion(name, from, to)
  if (from === 0) {
    database.exec(`create table tierwise_schema (
      only integer primary key check (only = 1), version integer not null check (version > 0)) strict`)
  }
  for (const step of steps.slice(from)) database.exec(step)
  database.prepare("insert or replace into tierwise_schema (only, version) values (1, ?)").run(to)
  return { from, to }
}

export function otherVersion(name: string, version: number, wanted: number): ConfigError {
  const problem = `the tables of ${name} have version ${version}, and this release of tierwise uses version ${wanted}`
  const fix =
    version < wanted
      ? "stop the processes of the older release, and run migrateSqliteBudget of tierwise/sqlite once"
      : "use the release that made them, or a newer one"
  return new ConfigError("budget.schema", problem, fix)
}

/** 0: there are no tables. */
function versionOf(database: SqliteDatabase, name: string): number {
  const table = "select 1 from sqlite_master where type = 'table' and name = 'tierwise_schema'"
  if (database.prepare(table).get() === undefined) return 0
  const row = database.prepare("select version from tierwise_schema").get() as
    | { version: unknown }
    | undefined
  const version = row?.version
  if (Number.isSafeInteger(version) && (version as number) > 0) return version as number
  throw new BudgetUnavailableError(
    name,
    `its table tierwise_schema holds ${JSON.stringify(row)}, which cannot be`,
  )
}
