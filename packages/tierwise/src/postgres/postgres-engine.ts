import {
  beyondCounting,
  type Counter,
  checkedTotals,
  type EngineBooked,
  type EngineReserved,
  type Entry,
  type LedgerEngine,
  printOf,
  share,
  type Totals,
  type Turned,
} from "../budget/ledger-engine.ts"
import { otherLimits } from "../budget/other-limits.ts"
import type { BudgetUnit } from "../spec/budget.ts"
import { BudgetUnavailableError, ConfigError, messageOf } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { type AskPostgres, sqlStateOf } from "./postgres-client.ts"
import { MOST_OF } from "./schema-v1.ts"
import { isNotThere, otherVersion, schemaVersion } from "./schema-version.ts"

export interface PostgresEngineOptions {
  readonly ask: AskPostgres
  /** Quoted. */
  readonly schema: string
  readonly ledger: string
  /** What it is called in messages. */
  readonly name: string
  /** How long a lock is waited for, ms. */
  readonly patienceMs: number
  /** Undefined: PostgreSQL's own clock. */
  readonly now: (() => number) | undefined
}

type Value = string | number | null

/** What the functions of `schema-v1.ts` answer. */
interface Closed {
  readonly late: boolean
  readonly money: number
  readonly tokens: number
  readonly totals: readonly Totals[]
}
interface Kept {
  readonly kept: string
}
interface Done {
  readonly done: boolean
}
interface Read {
  readonly outcome: "read"
  readonly totals: readonly Totals[]
}

/** The version of the schema whose functions are called here. */
export const VERSION = 1

/** What PostgreSQL says when a row breaks a constraint, whose name stands in the message. */
const CHECK_VIOLATION = "23514"

const UNITS: readonly BudgetUnit[] = ["NanoUsd", "tokens"]

/** Far beyond any hold, and small enough to be added to any time. */
const LONGEST_TTL_MS = 1e15

/** A ledger's numbers in PostgreSQL: each method is one statement, a function of `schema-v1.ts`, which is one transaction. */
export function postgresEngine(options: PostgresEngineOptions): LedgerEngine {
  const { ask, schema, ledger, name, now } = options
  const patience = String(options.patienceMs)

  async function call<T>(step: string, values: readonly Value[]): Promise<T | null> {
    const places = values.map((_, index) => `$${index + 1}`).join(", ")
    const text = `select ${schema}.tierwise_v${VERSION}_${step}(${places}) as answer`
    const row = await ask(text, values.map(textOf)).catch(async (error: unknown) => {
      // The tables were changed, or dropped, under a process that had found them as it should.
      if (isNotThere(error)) await checkVersion()
      const unit = unitBeyond(error)
      throw unit === undefined ? error : beyondCounting(name, unit)
    })
    const answer = row?.["answer"]
    if (answer === null) return null
    if (typeof answer === "string") return JSON.parse(answer) as T
    throw new BudgetUnavailableError(name, `tierwise_v${VERSION}_${step} answered ${typeof answer}`)
  }

  /** What a function answers that has always something to say. */
  async function answerOf<T>(step: string, values: readonly Value[]): Promise<T> {
    const answer = await call<T>(step, values)
    if (answer !== null) return answer
    throw new BudgetUnavailableError(name, `tierwise_v${VERSION}_${step} answered nothing`)
  }

  async function checkVersion(): Promise<void> {
    const version = await schemaVersion(ask, schema, name)
    if (version !== VERSION) throw otherVersion(name, version, VERSION)
  }

  /** With READ COMMITTED a step sees what was committed while it waited for its locks. */
  async function checkIsolation(): Promise<void> {
    const row = await ask("select current_setting('transaction_isolation') as isolation", [])
    const isolation = row?.["isolation"]
    if (isolation === "read committed") return
    const fix = "leave default_transaction_isolation of the client's connections at read committed"
    throw new ConfigError("budget.client", `its transactions are ${isolation}`, fix)
  }

  const moment = () => (now === undefined ? null : Math.floor(now()))
  const stepOn = (id: string) => [ledger, id, moment(), patience]
  const checked = (totals: readonly Totals[]) => totals.map((one) => checkedTotals(name, one))

  return {
    name,

    async open({ print, json, replace }) {
      await checkVersion()
      await checkIsolation()
      const ifOther = replace ? "replace" : "refuse"
      const other = await call<Kept>("open", [ledger, patience, print, json, ifOther])
      if (other !== null) throw otherLimits(name, other.kept, json)
    },

    async reserve(entry, ttlMs, limitsPrint): Promise<EngineReserved> {
      const { id, amount, counters } = entry
      const reserved = await answerOf<EngineReserved>("reserve", [
        ...stepOn(id),
        limitsPrint,
        printOf(entry),
        amount.money,
        amount.tokens,
        ttlOf(ttlMs),
        ...turnOf(counters),
        ...rowsOf(counters),
        sharesOf(entry),
        arrayOf(counters.map(({ limit }) => limit)),
      ])
      if (reserved.outcome === "refused") checkedTotals(name, reserved.totals)
      return reserved
    },

    async close(id, { money, tokens }) {
      const closed = await call<Closed>("close", [...stepOn(id), money, tokens])
      if (closed === null) return undefined
      const held = { money: nanoUsd(closed.money), tokens: closed.tokens }
      return { late: closed.late, held, totals: checked(closed.totals) }
    },

    async extend(id, ttlMs) {
      const { done } = await answerOf<Done>("extend", [...stepOn(id), ttlOf(ttlMs)])
      return done
    },

    async book(entry): Promise<EngineBooked> {
      const { id, counters } = entry
      const booked = await answerOf<EngineBooked>("book", [
        ...stepOn(id),
        ...turnOf(counters),
        ...rowsOf(counters),
        sharesOf(entry),
      ])
      return booked.outcome === "turned" ? booked : { ...booked, totals: checked(booked.totals) }
    },

    async read(counters) {
      const keys = arrayOf(counters.map(({ key }) => key))
      const values = [ledger, moment(), patience, ...turnOf(counters), keys]
      const read = await answerOf<Read | Turned>("read", values)
      return read.outcome === "turned" ? read : { ...read, totals: checked(read.totals) }
    },

    async claim({ key }, level) {
      return (await answerOf<Done>("claim", [ledger, patience, key, level])).done
    },

    end: async () => {},
  }
}

function ttlOf(ttlMs: number): number {
  return Math.min(Math.ceil(ttlMs), LONGEST_TTL_MS)
}

/** The time in which all counters are in turn. */
function turnOf(counters: readonly Counter[]): [start: number | null, end: number | null] {
  const start = Math.max(...counters.map(({ start }) => start))
  const end = Math.min(...counters.map(({ end }) => end))
  return [finite(start), finite(end)]
}

/** What a counter is made of. */
function rowsOf(counters: readonly Counter[]): [keys: string, units: string, forgetAt: string] {
  return [
    arrayOf(counters.map(({ key }) => key)),
    arrayOf(counters.map(({ unit }) => unit)),
    arrayOf(counters.map(({ forgetAt }) => finite(forgetAt))),
  ]
}

function sharesOf({ amount, counters }: Entry): string {
  return arrayOf(counters.map((counter) => share(amount, counter)))
}

function finite(moment: number): number | null {
  return Number.isFinite(moment) ? moment : null
}

/** The unit of a counter that would have left the safe integers. */
function unitBeyond(error: unknown): BudgetUnit | undefined {
  if (sqlStateOf(error) !== CHECK_VIOLATION) return undefined
  const message = messageOf((error as Error).cause)
  return UNITS.find((unit) => message.includes(MOST_OF[unit]))
}

/** As PostgreSQL reads an array, whatever its type. */
function arrayOf(values: readonly Value[]): string {
  const items = values.map((value) => (typeof value === "string" ? quoted(value) : textOf(value)))
  return `{${items.map((item) => item ?? "null").join(",")}}`
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`
}

/** Numbers here are integers below 2^53, which keep all their digits. */
function textOf(value: Value): string | null {
  return typeof value === "number" ? value.toFixed(0) : value
}
