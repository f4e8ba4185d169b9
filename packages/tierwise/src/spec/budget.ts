import type { Amount } from "./money.ts"
import type { Scopes } from "./request.ts"

/**
 * How often a limit begins anew, in the ledger's time zone: at the full minute or hour, at midnight, on Monday (ISO
 * 8601), on the first of the month; `total` never does.
 */
export type BudgetWindow = "minute" | "hour" | "day" | "week" | "month" | "total"

/** What is counted: billionths of a US dollar, or input plus output tokens. */
export type BudgetUnit = "NanoUsd" | "tokens"

/** Why money was not held. */
export interface Refusal {
  /** e.g. `tenant:acme`. */
  readonly scope: string
  readonly window: BudgetWindow
  readonly unit: BudgetUnit
  /** In `unit`, like `remaining`. */
  readonly limit: number
  /** Limit − spent − held. */
  readonly remaining: number
  /** Epoch ms; undefined for a `total` window. */
  readonly resetsAt: number | undefined
}

export interface Reservation {
  readonly id: string
  readonly amount: Amount
  /** Epoch ms, by the store's clock. */
  readonly expiresAt: number
  /** How long it lives without being extended, ms. */
  readonly ttlMs: number
}

export type ReserveOutcome =
  | { readonly granted: true; readonly reservation: Reservation }
  | { readonly granted: false; readonly refusal: Refusal }

export interface ReserveRequest {
  /** Idempotency key: the same request again gives the same reservation; another one under its id is an error. */
  readonly id: string
  readonly scopes: Scopes
  readonly amount: Amount
}

/** What became of a hold when it was closed. */
export interface Closing {
  /** True if the hold had expired, and was booked at its quote until now. */
  readonly late: boolean
  /** What was spent beyond the hold. It is booked all the same. */
  readonly overrun: Amount
}

/** One limit's counters in its present window; what is counted is in `unit`. */
export interface BudgetStatus {
  readonly scope: string
  readonly window: BudgetWindow
  readonly unit: BudgetUnit
  readonly limit: number
  readonly spent: number
  readonly held: number
  /** Part of `spent` that is a guess: holds that expired before anybody said what they cost. */
  readonly unconfirmed: number
  /** Part of `spent` that went beyond its hold, or that no hold was made for. */
  readonly overrun: number
  /** Limit − spent − held, never negative. */
  readonly remaining: number
  /** When the present window began, and when it is over, epoch ms; undefined for `total`. */
  readonly startedAt: number | undefined
  readonly resetsAt: number | undefined
}

/** A limit of which a stated share is spent. Each share is told of once per window, by whichever process notices. */
export interface BudgetWarning {
  /** e.g. `tenant:acme`. */
  readonly scope: string
  readonly window: BudgetWindow
  readonly unit: BudgetUnit
  /** In `unit`, like `spent`. */
  readonly limit: number
  /** What is held is no part of it. */
  readonly spent: number
  /** The share of the limit that was reached, in (0, 1], e.g. 0.8. */
  readonly share: number
  /** Epoch ms; undefined for a `total` window. */
  readonly resetsAt: number | undefined
}

/**
 * Where money is kept. The invariant of every store: at every grant, spent + held ≤ limit, for every scope at once and in each
 * unit that the amount has a share in. An amount without a share in a unit is never refused for it: what costs nothing may
 * be called also where more was spent than the limit.
 * Every method is one atomic step, and idempotent by reservation id.
 *
 * All methods but `close` throw
 * - `BudgetUnavailableError` when the store cannot be reached or holds what it cannot have written;
 * - `ConfigError` for what is no amount, hold's id or duration, a sum beyond 2^53, an id that holds another amount or is closed
 *   (`reserve`), and a ledger that is kept with other limits or in another version;
 * - `InvalidRequestError` for a scope's id that no store can keep: it is empty, longer than 512 characters, or holds NUL or half a
 *   surrogate pair.
 */
export interface BudgetStore {
  /** Of the ledger: two stores with one name keep the same money. */
  readonly name: string
  /** Holds `amount` in every scope that has a limit, or in none. Of several limits without room, the first given is named. */
  reserve(request: ReserveRequest): Promise<ReserveOutcome>
  /**
   * Replaces the hold by what was really spent, also after it expired. A second settlement changes nothing, and one of a
   * hold that nobody knows books nothing: both answer undefined.
   */
  settle(id: string, actual: Amount): Promise<Closing | undefined>
  /** Gives the hold back: nothing was spent. Undefined, if there is no such hold any more. */
  release(id: string): Promise<Closing | undefined>
  /** Moves the expiry of a live hold `ttlMs` ahead of now. False if it is not live any more. */
  extend(id: string, ttlMs: number): Promise<boolean>
  /**
   * Books, as overrun, what was spent without a hold. It is never refused. An id that was booked in the last 24 hours, or is
   * that of a hold, changes nothing, whatever the amount.
   */
  book(request: ReserveRequest): Promise<void>
  status(scopes: Scopes): Promise<readonly BudgetStatus[]>
  /**
   * Gives back what the store itself has opened; what was passed in stays open. Called again, it does nothing more.
   *
   * @throws BudgetUnavailableError saying how many closings and bookings the store was down for and has not heard since.
   */
  close(): Promise<void>
}
