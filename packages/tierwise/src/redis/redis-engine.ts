import {
  beyondCounting,
  type Counter,
  checkedTotals,
  type EngineBooked,
  type EngineClosed,
  type EngineReserved,
  type Entry,
  type LedgerEngine,
  type LedgerLimits,
  printOf,
  type Totals,
  type Turned,
} from "../budget/ledger-engine.ts"
import { otherLimits } from "../budget/other-limits.ts"
import type { BudgetUnit } from "../spec/budget.ts"
import { BudgetUnavailableError, ConfigError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { NEVER, SCHEMA_VERSION } from "./ledger-script.ts"
import type { RunScript } from "./redis-client.ts"

/** What the script answers: texts and integers, which a client may be told to give as text. */
type Answer = readonly (string | number)[]

const FAILURES: ReadonlySet<unknown> = new Set(["broken", "beyond", "lost", "version"])

/** How the script's fields begin. */
const COUNT = "count:"
const HOLD = "hold:"

/**
 * A ledger's numbers in Redis, told by `LEDGER_SCRIPT`.
 *
 * @param now Epoch ms. Undefined: the server's clock.
 */
export function redisEngine(ledger: string, run: RunScript, now: (() => number) | undefined): LedgerEngine {
  const name = `redis:${ledger}`
  const keys = keysOf(ledger)
  const textsOf = writtenOnce()
  let limits: LedgerLimits | undefined

  /** One step of the script. Its first word is what came of it. */
  async function step(args: string[]): Promise<Answer> {
    const answer = await run(keys, args)
    if (!Array.isArray(answer)) throw new Error(`the script answered ${JSON.stringify(answer)}`)
    if (FAILURES.has(answer[0])) throw await failureOf(answer as Answer)
    return answer as Answer
  }

  async function failureOf([outcome, field, value]: Answer): Promise<Error> {
    switch (outcome) {
      case "broken":
        return new BudgetUnavailableError(
          name,
          `its field ${field} of ${keys[0]} holds ${value}, which cannot be`,
        )
      case "beyond":
        return beyondCounting(name, field === "t" ? "tokens" : "NanoUsd")
      case "version":
        return otherVersion(name, `${field}`)
      default:
        return begunAnew()
    }
  }

  /** Whoever finds the ledger gone is told, so that somebody is; the next finds a new one. */
  async function begunAnew(): Promise<BudgetUnavailableError> {
    if (limits !== undefined) await open(limits)
    const why = "was Redis emptied, or restarted without its data?"
    return new BudgetUnavailableError(name, `its numbers are gone (${why}); it begins anew at zero`)
  }

  async function open(wanted: LedgerLimits): Promise<void> {
    limits = wanted
    const { print, json, replace } = wanted
    const [outcome, said = ""] = await step([
      "open",
      time(),
      versionOf(print),
      json,
      replace ? "replace" : "refuse",
    ])
    const found = `${said}`
    if (outcome === "other-limits") throw otherLimits(name, found, json)
    if (outcome === "evicting") {
      const problem = `when its memory is full, this Redis drops any key (maxmemory-policy ${found}), also a ledger's`
      throw new ConfigError(
        "budget.client",
        problem,
        "set maxmemory-policy to noeviction or to a volatile one",
      )
    }
  }

  const time = now === undefined ? () => "" : () => `${Math.floor(now())}`

  /** What an answer tells of counters, from there on: pairs of a field and what is kept in it. */
  function totalsFrom(answer: Answer, first: number): readonly Totals[] {
    const totals: Totals[] = []
    for (let at = first; at < answer.length; at += 2) totals.push(totalsAt(answer, at))
    return totals
  }

  function totalsAt(answer: Answer, at: number): Totals {
    const key = `${answer[at]}`.slice(COUNT.length)
    const kept = `${answer[at + 1]}`.split(" ")
    const [spent, held, unconfirmed, overrun, warned] = [0, 1, 2, 3, 4].map((index) => Number(kept[index]))
    return checkedTotals(name, { key, spent, held, unconfirmed, overrun, warned } as Totals)
  }

  return {
    name,
    open,

    async reserve(hold, ttlMs, limitsPrint): Promise<EngineReserved> {
      const { id, amount, counters } = hold
      const { from, to, lines, perCounter, fields } = textsOf(counters)
      const [money, tokens] = [`${amount.money}`, `${amount.tokens}`]
      const kept = `${money} ${tokens}\n${printOf(hold)}\n${lines}`
      const args = ["reserve", time(), versionOf(limitsPrint), `${Math.ceil(ttlMs)}`, from, to, kept]
      for (const { unit, limit, forgetAt } of perCounter) {
        args.push(unit === "tokens" ? tokens : money, limit, forgetAt)
      }
      args.push(HOLD + id, ...fields)
      const answer = await step(args)
      const outcome = answer[0]
      switch (outcome) {
        case "granted":
          return { outcome, expiresAt: Number(answer[1]) }
        case "refused":
          return { outcome, totals: totalsAt(answer, 1) }
        case "taken":
        case "other-limits":
          return { outcome }
        default:
          return turned(answer)
      }
    },

    async close(id, { money, tokens }): Promise<EngineClosed | undefined> {
      const answer = await step(["close", time(), HOLD + id, `${money}`, `${tokens}`])
      if (answer[0] === "unknown") return undefined
      const held = { money: nanoUsd(Number(answer[2])), tokens: Number(answer[3]) }
      return { late: answer[1] === "late", held, totals: totalsFrom(answer, 4) }
    },

    async extend(id, ttlMs) {
      const [outcome] = await step(["extend", time(), HOLD + id, `${Math.ceil(ttlMs)}`])
      return outcome === "extended"
    },

    async book({ id, amount, counters }: Entry): Promise<EngineBooked> {
      const { from, to, perCounter } = textsOf(counters)
      const said = ["book", time(), HOLD + id, `${amount.money}`, `${amount.tokens}`, from, to]
      const answer = await step([...said, ...perCounter.map(({ line }) => line)])
      return answer[0] === "booked" ? { outcome: "booked", totals: totalsFrom(answer, 1) } : turned(answer)
    },

    async read(counters) {
      const { from, to, perCounter } = textsOf(counters)
      const answer = await step(["read", time(), from, to, ...perCounter.map(({ line }) => line)])
      return answer[0] === "read" ? { outcome: "read", totals: totalsFrom(answer, 1) } : turned(answer)
    },

    async claim(counter, level) {
      const [outcome] = await step(["claim", time(), `${level}`, textOf(counter).line])
      return outcome === "claimed"
    },

    end: async () => {},
  }
}

/**
 * All a ledger has in Redis. The braces make one hash slot of it, whatever the cluster, and every script names all three:
 * it computes no key. A client's own key prefix is kept to as well.
 */
export function keysOf(ledger: string): [ledger: string, due: string, old: string] {
  const tag = `{tierwise:${ledger}}`
  return [tag, `${tag}:due`, `${tag}:old`]
}

function otherVersion(name: string, found: string): ConfigError {
  const fix =
    "use the version of tierwise that keeps this ledger in all processes, or a ledger of another name"
  const problem = `${name} is kept in schema ${JSON.stringify(found)}, and this version of tierwise reads ${JSON.stringify(SCHEMA_VERSION)}`
  return new ConfigError("budget.ledger", problem, fix)
}

function turned([outcome, now]: Answer): Turned {
  if (outcome !== "turned") throw new Error(`the script answered ${outcome}`)
  return { outcome, now: Number(now) }
}

/** The schema goes with the limits: one comparison tells that both are as they were. */
function versionOf(print: string): string {
  return `${SCHEMA_VERSION} ${print}`
}

/** How a counter is told to the script. */
interface CounterText {
  readonly unit: BudgetUnit
  readonly limit: string
  readonly forgetAt: string
  readonly field: string
  /** As a hold keeps it. */
  readonly line: string
}

/** How the counters of a call are told to the script. */
interface CallTexts {
  readonly counters: readonly Counter[]
  /** When all of them count. */
  readonly from: string
  readonly to: string
  readonly perCounter: readonly CounterText[]
  readonly fields: readonly string[]
  readonly lines: string
}

/** Most calls have the counters that others had before, by the first of which they are known: to write them anew is dear. */
function writtenOnce(): (counters: readonly Counter[]) => CallTexts {
  const written = new WeakMap<Counter, CallTexts>()
  return (counters) => {
    const [first] = counters
    if (first === undefined) return writeTexts(counters)
    const known = written.get(first)
    if (known !== undefined && areSame(known.counters, counters)) return known
    const texts = writeTexts(counters)
    written.set(first, texts)
    return texts
  }
}

function areSame(some: readonly Counter[], others: readonly Counter[]): boolean {
  for (let index = 0; index < others.length; index++) if (some[index] !== others[index]) return false
  return some.length === others.length
}

function writeTexts(counters: readonly Counter[]): CallTexts {
  let [from, to] = [0, NEVER]
  for (const { start, end } of counters) {
    from = Math.max(from, start)
    to = Math.min(to, end)
  }
  const perCounter = counters.map(textOf)
  const lines = perCounter.map(({ line }) => `${line}\n`).join("")
  const fields = perCounter.map(({ field }) => field)
  return { counters, from: timeText(from), to: timeText(to), perCounter, fields, lines }
}

function textOf({ key, unit, limit, forgetAt }: Counter): CounterText {
  const field = COUNT + key
  const forget = timeText(forgetAt)
  const line = `${unit === "tokens" ? "t" : "m"} ${forget} ${field}`
  return { unit, limit: `${limit}`, forgetAt: forget, field, line }
}

function timeText(at: number): string {
  return `${Math.min(Math.ceil(at), NEVER)}`
}
