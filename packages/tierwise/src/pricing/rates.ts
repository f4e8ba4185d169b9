import type { Price, TokenPrice } from "../spec/catalog.ts"
import { ConfigError } from "../spec/errors.ts"
import { ceilTolerant } from "../spec/money.ts"

/**
 * A price as integers: millionths of a millionth of a dollar (pico-USD) per token. A published price of
 * 0.0375 USD per million tokens is 37,500 pico-USD per token, so whole calls add up without a fraction.
 */
export interface TokenRates {
  readonly input: number
  readonly output: number
  readonly cachedInput: number
  readonly cacheWrite: number
}

/** The rates of a price, and those that replace them for long inputs. */
export interface Rates extends TokenRates {
  readonly longContext?: (TokenRates & { readonly aboveInputTokens: number }) | undefined
}

/** 1 USD per million tokens = 1e6 pico-USD per token. */
const PICO_PER_USD_PER_MTOK = 1_000_000

/** Row E2 prices self-hosted tiers by weight; the base only sets the scale (USD per million tokens). */
export const DEFAULT_BASE_PRICE = 0.1

/** Prompts are read in parallel and answers written token by token; how much faster is our assumption, and an option. */
const INPUT_SPEED_FACTOR = 20

/** @throws ConfigError naming `path` for a negative, missing or non-finite figure. */
export function ratesOf(price: Price, path: string): Rates {
  if (price === "free") return { input: 0, output: 0, cachedInput: 0, cacheWrite: 0 }
  if ("costWeight" in price) {
    const weight = figure(price.costWeight, `${path}.costWeight`, "positive")
    const base = figure(price.base ?? DEFAULT_BASE_PRICE, `${path}.base`, "positive")
    return flat(perToken(weight * base))
  }
  if ("perGpuSecond" in price) return gpuRates(price, path)
  const { longContext } = price
  if (longContext === undefined) return tokenRates(price, path)
  const above = figure(longContext.aboveInputTokens, `${path}.longContext.aboveInputTokens`, "positive")
  const long = { ...tokenRates(longContext, `${path}.longContext`), aboveInputTokens: above }
  return { ...tokenRates(price, path), longContext: long }
}

/** The rates of a call whose input has this many tokens. */
export function ratesAt(rates: Rates, inputTokens: number): TokenRates {
  const { longContext } = rates
  return longContext !== undefined && inputTokens > longContext.aboveInputTokens ? longContext : rates
}

function tokenRates(price: TokenPrice, path: string): TokenRates {
  const input = perToken(figure(price.inputPerMTok, `${path}.inputPerMTok`))
  const optional = (value: number | undefined, name: string) =>
    value === undefined ? input : perToken(figure(value, `${path}.${name}`))
  return {
    input,
    output: perToken(figure(price.outputPerMTok, `${path}.outputPerMTok`)),
    cachedInput: optional(price.cachedInputPerMTok, "cachedInputPerMTok"),
    cacheWrite: optional(price.cacheWritePerMTok, "cacheWritePerMTok"),
  }
}

function gpuRates(price: Extract<Price, { perGpuSecond: number }>, path: string): TokenRates {
  const second = figure(price.perGpuSecond, `${path}.perGpuSecond`, "positive")
  const outputSpeed = figure(price.outputTokensPerSecond, `${path}.outputTokensPerSecond`, "positive")
  const inputSpeed = figure(
    price.inputTokensPerSecond ?? outputSpeed * INPUT_SPEED_FACTOR,
    `${path}.inputTokensPerSecond`,
    "positive",
  )
  const perSecond = second * 1e6 * PICO_PER_USD_PER_MTOK
  const input = ceilTolerant(perSecond / inputSpeed)
  return { ...flat(input), output: ceilTolerant(perSecond / outputSpeed) }
}

function flat(rate: number): TokenRates {
  return { input: rate, output: rate, cachedInput: rate, cacheWrite: rate }
}

function perToken(usdPerMTok: number): number {
  return ceilTolerant(usdPerMTok * PICO_PER_USD_PER_MTOK)
}

const FIGURE_FIXES = {
  positive: 'give a positive number, or say the price is "free"',
  "not negative": 'give USD per million tokens, 0 or more, or say the price is "free"',
}

function figure(value: number, path: string, sign: "positive" | "not negative" = "not negative"): number {
  if (
    typeof value !== "number" ||
    !Number.isFinite(value) ||
    value < 0 ||
    (sign === "positive" && value === 0)
  ) {
    throw new ConfigError(path, `${value} is not a price`, FIGURE_FIXES[sign])
  }
  return value
}
