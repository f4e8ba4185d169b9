import type { Amount } from "./money.ts"
import type { Scopes } from "./request.ts"

export type BudgetWindow = "day" | "month" | "total"

/** Why money was not held. */
export interface Refusal {
  /** e.g. `tenant:acme`. */
  readonly scope: string
  readonly window: BudgetWindow
  readonly unit: "NanoUsd" | "tokens"
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

/** One limit's counters in its present window. */
export interface BudgetStatus {
  readonly scope: string
  readonly window: BudgetWindow
  readonly unit: "NanoUsd" | "tokens"
  readonly limit: number
  readonly spent: number
  readonly held: number
  /** Part of `spent` that is a guess: holds that expired before anybody said what they cost. */
  readonly unconfirmed: number
  readonly remaining: number
  readonly resetsAt: number | undefined
}

/**
 * Where money is kept. The invariant of every store: at every grant, spent + held ≤ limit, for every scope at once.
 * All methods are asynchronous because other stores are; all are idempotent by reservation id.
 */
export interface BudgetStore {
  /** Holds `amount` in every scope that has a limit, or in none. */
  reserve(request: ReserveRequest): Promise<ReserveOutcome>
  /** Replaces the hold by what was really spent, also after it expired. A second settlement changes nothing. */
  settle(id: string, actual: Amount): Promise<void>
  /** Gives the hold back: nothing was spent. */
  release(id: string): Promise<void>
  /** Moves the expiry of a live hold `ttlMs` ahead of now. False if it is not live any more. */
  extend(id: string, ttlMs: number): Promise<boolean>
  status(scopes: Scopes): Promise<readonly BudgetStatus[]>
}
