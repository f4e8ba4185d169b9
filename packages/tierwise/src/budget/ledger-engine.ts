import type { BudgetUnit } from "../spec/budget.ts"
import { BudgetUnavailableError, ConfigError } from "../spec/errors.ts"
import { type Amount, nanoUsd, ZERO_USD } from "../spec/money.ts"
import type { Scopes } from "../spec/request.ts"

/** What one limit counts for one id in one turn of its window. The ledger names it; an engine adds. */
export interface Counter {
  /** Unique in the ledger; a JSON array, see `counters.ts`. */
  readonly key: string
  readonly unit: BudgetUnit
  readonly limit: number
  /** The turn it counts, epoch ms by the store's clock; `end` may be `Infinity`. */
  readonly start: number
  readonly end: number
  /**
   * Epoch ms; `Infinity`: never. An engine drops a counter when this is past, by the latest call that named it, nothing is
   * held in it, and `KEPT_AFTER_USE_MS` have gone by since the last hold or booking in it was made, expired or was closed.
   */
  readonly forgetAt: number
}

/** What an engine keeps of a counter. All are non-negative integers. */
export interface Totals {
  readonly key: string
  readonly spent: number
  readonly held: number
  /** Part of `spent`. */
  readonly unconfirmed: number
  /** Part of `spent`. */
  readonly overrun: number
  /** How many of its warning marks have been told of. */
  readonly warned: number
}

/** A hold as the ledger asks for it, or a booking without a hold. */
export interface Entry {
  readonly id: string
  /** With the amount they make the request: `printOf` tells two requests under one id apart. */
  readonly scopes: Scopes
  readonly counters: readonly Counter[]
  readonly amount: Amount
}

/** The counters were named for another time: it is `now` by the store's clock. */
export interface Turned {
  readonly outcome: "turned"
  readonly now: number
}

export type EngineReserved =
  | { readonly outcome: "granted"; readonly expiresAt: number }
  /** The first counter, in the order given, that has no room. */
  | { readonly outcome: "refused"; readonly totals: Totals }
  /** The id holds, or has held, another amount or for other scopes; or it is closed already. */
  | { readonly outcome: "taken" }
  /** Another process keeps this ledger with other limits. */
  | { readonly outcome: "other-limits" }
  | Turned

export interface EngineClosed {
  /** True if the hold had expired. */
  readonly late: boolean
  /** What was held. */
  readonly held: Amount
  /** The counters afterwards. */
  readonly totals: readonly Totals[]
}

export type EngineBooked = { readonly outcome: "booked"; readonly totals: readonly Totals[] } | Turned

/** The limits that all processes of a ledger must have in common. */
export interface LedgerLimits {
  /** A hash of `json`. */
  readonly print: string
  readonly json: string
  /** True: these limits take the place of those the ledger has. */
  readonly replace: boolean
}

/**
 * Where a ledger's numbers are. Every method is one atomic step: of two calls at the same moment, also from two
 * processes, one comes first. Time is the store's own clock.
 *
 * A hold is live until `expiresAt`. Then, when any method next looks, it is booked at its quote: its share of `held`
 * becomes `spent` and `unconfirmed`, in the counters it was made in. It can still be closed for `LATE_CLOSING_MS`.
 *
 * A closed id is remembered for `CLOSED_ID_MS` at least, also one that was released before it was ever held: the same
 * reservation, arriving once more, must not hold money that nobody will give back. A booked one is for `BOOKED_ID_MS`.
 *
 * What a method throws is told as `BudgetUnavailableError`, unless it is a `TierwiseError` already.
 */
export interface LedgerEngine {
  readonly name: string
  /**
   * Called before anything else, and again after it failed.
   * @throws ConfigError if the ledger is kept with other limits, or in a schema of another version.
   */
  open(limits: LedgerLimits): Promise<void>
  /**
   * Holds the amount in all counters, or in none: at every grant spent + held ≤ limit, in each counter that the amount has a
   * share in. One whose share is 0 refuses nothing, however much is spent. Repeated: the same grant.
   */
  reserve(hold: Entry, ttlMs: number, limitsPrint: string): Promise<EngineReserved>
  /**
   * Replaces the hold by `actual`, of which what is beyond the hold counts as overrun too. Undefined: no such hold.
   * @throws ConfigError (`beyondCounting`) where spent + held would leave the safe integers; the hold stays as it is.
   */
  close(id: string, actual: Amount): Promise<EngineClosed | undefined>
  /** False if the hold is not live. */
  extend(id: string, ttlMs: number): Promise<boolean>
  /**
   * Adds to `spent` and `overrun`, whatever the limit. An id that is known, booked, held or closed, changes nothing.
   * @throws ConfigError (`beyondCounting`) where spent + held would leave the safe integers; nothing is booked.
   */
  book(entry: Entry): Promise<EngineBooked>
  /** The counters' totals, in their order; zero where nothing is counted yet. */
  read(
    counters: readonly Counter[],
  ): Promise<{ readonly outcome: "read"; readonly totals: readonly Totals[] } | Turned>
  /** Raises `warned` from `level` − 1 to `level`. True for the one caller that raised it; makes no counter. */
  claim(counter: Counter, level: number): Promise<boolean>
  /** Gives back what the engine has opened itself. */
  end(): Promise<void>
}

/** How long an expired hold can still be corrected, ms: one day. */
export const LATE_CLOSING_MS = 86_400_000

/**
 * How long a counter is kept at least after its last use, ms: one hour. It is what a request's counter lives by, whose
 * window never ends: longer than a caller pauses within one request.
 */
export const KEPT_AFTER_USE_MS = 3_600_000

/** How long a closed id is remembered, ms: longer than any client repeats a command. */
export const CLOSED_ID_MS = 60_000

/**
 * How long a booked id is remembered, ms: one day. A booking whose answer is lost is told again when the store is back, and
 * nothing but its id shows that it was heard the first time.
 */
export const BOOKED_ID_MS = 86_400_000

/** How many expired holds one step books at most, so that no caller pays for a whole outage. */
export const SWEEP_AT_MOST = 64

/** @throws BudgetUnavailableError for numbers that no engine has written: nothing is granted on them. */
export function checkedTotals(name: string, totals: Totals): Totals {
  const { key, spent, held, unconfirmed, overrun, warned } = totals
  const isSound = [spent, held, unconfirmed, overrun, warned].every((n) => Number.isSafeInteger(n) && n >= 0)
  if (isSound && unconfirmed <= spent && overrun <= spent) return totals
  throw new BudgetUnavailableError(
    name,
    `its counter ${key} holds ${JSON.stringify(totals)}, which cannot be`,
  )
}

/**
 * What an amount is told that would take spent + held beyond `Number.MAX_SAFE_INTEGER`. Held counts too: it must be
 * possible to book what is held when it expires.
 */
export function beyondCounting(name: string, unit: BudgetUnit): ConfigError {
  const path = unit === "tokens" ? "amount.tokens" : "amount.money"
  const problem = `with it a counter of ${name} would leave the integers below 2^53`
  return new ConfigError(path, problem, "give what the call did cost; it is less than nine million dollars")
}

/** What a request is told whose id cannot be held under. */
export function takenId(id: string): ConfigError {
  const problem = `"${id}" already holds another amount, or is closed`
  return new ConfigError("id", problem, "give every hold an id of its own")
}

export const NOTHING: Amount = { money: ZERO_USD, tokens: 0 }

/** What was spent of each unit beyond what was held. */
export function beyond(actual: Amount, held: Amount): Amount {
  return {
    money: nanoUsd(Math.max(0, actual.money - held.money)),
    tokens: Math.max(0, actual.tokens - held.tokens),
  }
}

/** What an amount is in a counter's unit. */
export function share({ money, tokens }: Amount, { unit }: Pick<Counter, "unit">): number {
  return unit === "tokens" ? tokens : money
}

/** The same for the same request, whatever the order of its scopes. */
export function printOf({ amount, scopes }: Pick<Entry, "amount" | "scopes">): string {
  const named = Object.keys(scopes).sort()
  return JSON.stringify([amount.money, amount.tokens, ...named.map((name) => [name, scopes[name]])])
}
