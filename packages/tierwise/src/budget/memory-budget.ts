import type {
  BudgetStatus,
  BudgetStore,
  BudgetWindow,
  Refusal,
  Reservation,
  ReserveOutcome,
} from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { type Amount, nanoUsd, usdToNano } from "../spec/money.ts"
import type { Scopes } from "../spec/request.ts"
import { checkLimit } from "./check-limit.ts"
import { endOfWindow, validTimeZone } from "./windows.ts"

/** How much, whose, how often. At least one of `usd` and `tokens`. */
export interface BudgetLimit {
  /** `tenant`, `user`, … : each id under it has this limit of its own. `global`: all calls together. */
  readonly scope: string
  /** If given, the limit is for this id only, and replaces the general one of the same scope and window. */
  readonly id?: string | undefined
  readonly window: BudgetWindow
  /** US dollars, > 0. */
  readonly usd?: number | undefined
  /** Input plus output tokens, a positive integer. */
  readonly tokens?: number | undefined
}

export interface MemoryBudgetOptions {
  readonly limits: readonly BudgetLimit[]
  /** IANA zone in which days and months begin. Default UTC. */
  readonly timeZone?: string | undefined
  /** How long a hold lives without being extended, ms. Default 10 minutes. */
  readonly holdTtlMs?: number | undefined
  /** Epoch ms. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

const DEFAULT_HOLD_TTL_MS = 600_000

/** How long a settlement may come after its hold expired and still be booked, ms: one day. */
const LATE_SETTLEMENT_MS = 86_400_000

/** At least this often, ms, counters of windows that are over are thrown away. */
const SWEEP_EVERY_MS = 60_000

/** A call that names no id for a limited scope counts as this one: leaving the tenant out is no way around its limit. */
export const UNNAMED = "default"

const WINDOWS: readonly BudgetWindow[] = ["day", "month", "total"]

type Unit = "NanoUsd" | "tokens"

interface Rule {
  readonly scope: string
  readonly id: string | undefined
  readonly window: BudgetWindow
  readonly unit: Unit
  readonly limit: number
}

/** One rule's counters for one id, in one turn of its window. */
interface Counter {
  readonly rule: Rule
  /** e.g. `tenant:acme`. */
  readonly scope: string
  /** When this turn of the window is over, epoch ms; undefined: never. */
  readonly end: number | undefined
  spent: number
  held: number
  unconfirmed: number
}

interface Hold {
  readonly reservation: Reservation
  readonly scopes: Scopes
  /** The counters it was made in: a settlement books there, also when the window has turned since. */
  readonly counters: readonly Counter[]
  expiresAt: number
  state: "held" | "unconfirmed"
}

/**
 * A budget in this process's memory. Every method works in one turn of the event loop, so that nothing comes between
 * the check and the hold: at every grant, spent + held ≤ limit in every scope.
 *
 * A hold that expires is booked at its quote as `unconfirmed`: a lost call may have been billed. A settlement or a
 * release that still arrives corrects it.
 *
 * @throws ConfigError for a limit that is negative, fractional in tokens, empty, or given twice; an unknown zone.
 */
export function memoryBudget(options: MemoryBudgetOptions): BudgetStore {
  const rules = rulesOf(options.limits)
  const timeZone = validTimeZone(options.timeZone ?? "UTC", "budget.timeZone")
  const holdTtlMs = validTtl(options.holdTtlMs ?? DEFAULT_HOLD_TTL_MS)
  const now = options.now ?? Date.now
  const counters = new Map<string, Counter>()
  const holds = new Map<string, Hold>()
  let nextSweep = Number.NEGATIVE_INFINITY

  /** The counters a request falls under, in their present turn. */
  function countersFor(scopes: Scopes): Counter[] {
    const at = now()
    return rulesFor(rules, scopes).map(({ rule, id }) => {
      // Names may hold any character; joined by one, two ids could come out as the same.
      const key = JSON.stringify([rule.scope, id, rule.window, rule.unit])
      const known = counters.get(key)
      if (known !== undefined && (known.end === undefined || at < known.end)) return known
      const end = endOfWindow(rule.window, at, timeZone)
      const counter = { rule, scope: `${rule.scope}:${id}`, end, spent: 0, held: 0, unconfirmed: 0 }
      counters.set(key, counter)
      return counter
    })
  }

  /** Books what expired, and forgets what nobody will ask for any more. */
  function sweep(): void {
    const at = now()
    if (at < nextSweep) return
    nextSweep = at + SWEEP_EVERY_MS
    for (const [id, hold] of holds) {
      if (hold.state === "held" && hold.expiresAt <= at) expire(hold)
      if (hold.state === "held") nextSweep = Math.min(nextSweep, hold.expiresAt)
      else if (hold.expiresAt + LATE_SETTLEMENT_MS <= at) holds.delete(id)
    }
    // Holds keep their own counters: what is still held in a window that is over is settled there all the same.
    for (const [key, { end }] of counters) {
      if (end !== undefined && end <= at) counters.delete(key)
    }
  }

  function expire(hold: Hold): void {
    hold.state = "unconfirmed"
    for (const counter of hold.counters) {
      const quoted = share(hold.reservation.amount, counter)
      counter.held -= quoted
      counter.spent += quoted
      counter.unconfirmed += quoted
    }
  }

  function close(id: string, actual: Amount | undefined): void {
    sweep()
    const hold = holds.get(id)
    if (hold === undefined) return
    for (const counter of hold.counters) {
      const quoted = share(hold.reservation.amount, counter)
      if (hold.state === "held") counter.held -= quoted
      else {
        counter.spent -= quoted
        counter.unconfirmed -= quoted
      }
      if (actual !== undefined) counter.spent += share(actual, counter)
    }
    holds.delete(id)
  }

  return {
    async reserve({ id, scopes, amount }): Promise<ReserveOutcome> {
      validAmount(amount)
      sweep()
      const known = holds.get(id)
      if (known !== undefined) return sameHold(known, amount, scopes)
      const affected = countersFor(scopes)
      const short = affected.find((counter) => remaining(counter) < share(amount, counter))
      if (short !== undefined) return { granted: false, refusal: refusalOf(short) }
      for (const counter of affected) counter.held += share(amount, counter)
      const expiresAt = now() + holdTtlMs
      const reservation = { id, amount, expiresAt }
      holds.set(id, { reservation, scopes, counters: affected, expiresAt, state: "held" })
      nextSweep = Math.min(nextSweep, expiresAt)
      return { granted: true, reservation }
    },
    async settle(id, actual) {
      validAmount(actual)
      close(id, actual)
    },
    async release(id) {
      close(id, undefined)
    },
    async extend(id, ttlMs) {
      validTtl(ttlMs)
      sweep()
      const hold = holds.get(id)
      if (hold?.state !== "held") return false
      hold.expiresAt = now() + ttlMs
      nextSweep = Math.min(nextSweep, hold.expiresAt)
      return true
    },
    async status(scopes) {
      sweep()
      return countersFor(scopes).map(statusOf)
    },
  }
}

/** The hold a repeated request already has. Another request under its id would share its money. */
function sameHold({ reservation, scopes: held }: Hold, amount: Amount, scopes: Scopes): ReserveOutcome {
  const { amount: before } = reservation
  const sameAmount = before.money === amount.money && before.tokens === amount.tokens
  const names = new Set([...Object.keys(held), ...Object.keys(scopes)])
  if (sameAmount && [...names].every((name) => held[name] === scopes[name]))
    return { granted: true, reservation }
  throw new ConfigError(
    "id",
    `"${reservation.id}" already holds another amount`,
    "give every hold an id of its own",
  )
}

function rulesOf(limits: readonly BudgetLimit[]): readonly Rule[] {
  const rules = limits.flatMap(({ scope, id, window, usd, tokens }, index) => {
    const path = `budget.limits[${index}]`
    if (typeof scope !== "string" || scope === "") {
      throw new ConfigError(
        `${path}.scope`,
        "the scope has no name",
        'name it, e.g. "tenant", or "global" for all calls',
      )
    }
    if (scope === "global" && id !== undefined) {
      throw new ConfigError(
        `${path}.id`,
        "all calls together have no id",
        "leave it out, or name another scope",
      )
    }
    if (!WINDOWS.includes(window)) {
      throw new ConfigError(
        `${path}.window`,
        `"${window}" is not a window`,
        `use one of ${WINDOWS.join(", ")}`,
      )
    }
    checkLimit({ usd, tokens }, path)
    const rule = { scope, id, window }
    return [
      ...(usd === undefined ? [] : [{ ...rule, unit: "NanoUsd" as const, limit: usdToNano(usd) }]),
      ...(tokens === undefined ? [] : [{ ...rule, unit: "tokens" as const, limit: tokens }]),
    ]
  })
  const names = rules.map(({ scope, id, window, unit }) => `${scope}:${id ?? "*"} ${window} ${unit}`)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new ConfigError("budget.limits", `${twice} is limited twice`, "keep one of the two limits")
  }
  return rules
}

/** The rules a request falls under, each with the id it counts for; a rule for one id replaces the general one. */
function rulesFor(rules: readonly Rule[], scopes: Scopes): { rule: Rule; id: string }[] {
  return rules.flatMap((rule) => {
    const named = Object.hasOwn(scopes, rule.scope) ? scopes[rule.scope] : undefined
    const id = rule.scope === "global" ? "all" : (named ?? UNNAMED)
    if (rule.id !== undefined) return rule.id === id ? [{ rule, id }] : []
    const replaced = rules.some(
      (other) =>
        other.id === id &&
        other.scope === rule.scope &&
        other.window === rule.window &&
        other.unit === rule.unit,
    )
    return replaced ? [] : [{ rule, id }]
  })
}

function share(amount: Amount, { rule }: Counter): number {
  return rule.unit === "tokens" ? amount.tokens : amount.money
}

function remaining({ rule, spent, held }: Counter): number {
  return rule.limit - spent - held
}

function refusalOf(counter: Counter): Refusal {
  const { window, unit, limit } = counter.rule
  const left = Math.max(0, remaining(counter))
  return { scope: counter.scope, window, unit, limit, remaining: left, resetsAt: counter.end }
}

function statusOf(counter: Counter): BudgetStatus {
  const { spent, held, unconfirmed } = counter
  return { ...refusalOf(counter), spent, held, unconfirmed }
}

function validAmount({ money, tokens }: Amount): void {
  nanoUsd(money)
  if (!Number.isSafeInteger(tokens) || tokens < 0) {
    throw new ConfigError(
      "amount.tokens",
      `${tokens} is not a number of tokens`,
      "give a non-negative integer",
    )
  }
}

function validTtl(ttlMs: number): number {
  if (Number.isFinite(ttlMs) && ttlMs > 0) return ttlMs
  throw new ConfigError(
    "budget.holdTtlMs",
    `${ttlMs} is not a duration`,
    "give a positive number of milliseconds",
  )
}
