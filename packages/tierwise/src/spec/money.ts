import { ConfigError } from "./errors.ts"

declare const unit: unique symbol

/**
 * Money as an integer count of billionths of a US dollar (1 USD = 1e9 NanoUsd). Integers add without drift;
 * `Number.MAX_SAFE_INTEGER` is about nine million dollars, and every operation here refuses to leave that range.
 */
export type NanoUsd = number & { readonly [unit]: "NanoUsd" }

/** What a budget limits: money, tokens, or both. */
export interface Amount {
  readonly money: NanoUsd
  /** Input plus output tokens. */
  readonly tokens: number
}

export const NANO_PER_USD = 1_000_000_000

export const ZERO_USD: NanoUsd = 0 as NanoUsd

/** Brands an integer as NanoUsd. @throws ConfigError for a fraction, a negative number or one beyond 2^53. */
export function nanoUsd(value: number): NanoUsd {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new ConfigError(
      "money",
      `${value} is not an amount of NanoUsd`,
      "give a non-negative integer below 2^53",
    )
  }
  return value as NanoUsd
}

/** Dollars to NanoUsd, rounded up, so that a converted price is never too small. */
export function usdToNano(usd: number): NanoUsd {
  return nanoUsd(ceilTolerant(usd * NANO_PER_USD))
}

/** NanoUsd to dollars, for people and for JSON; never for arithmetic. */
export function nanoToUsd(nano: NanoUsd): number {
  return nano / NANO_PER_USD
}

export function addMoney(a: NanoUsd, b: NanoUsd): NanoUsd {
  return nanoUsd(a + b)
}

/**
 * Rounds up, but forgives the last bits of a float: 0.0375 × 1e6 must be 37,500, not 37,501.
 * The tolerance is relative (1e-12), three orders above double precision and far below any price's last digit.
 */
export function ceilTolerant(value: number): number {
  const nearest = Math.round(value)
  return Math.abs(value - nearest) <= Math.abs(value) * 1e-12 ? nearest : Math.ceil(value)
}
