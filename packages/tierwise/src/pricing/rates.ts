import type { Price } from "../spec/catalog.ts"
import { ConfigError } from "../spec/errors.ts"
import { ceilTolerant } from "../spec/money.ts"

/**
 * A price as integers: millionths of a millionth of a dollar (pico-USD) per token. A published price of
 * 0.0375 USD per million tokens is 37,500 pico-USD per token, so whole calls add up without a fraction.
 */
export interface Rates {
  readonly input: number
  readonly output: number
  readonly cachedInput: number
  readonly cacheWrite: number
}

/** 1 USD per million tokens = 1e6 pico-USD per token. */
const PICO_PER_USD_PER_MTOK = 1_000_000

/** Row E2 prices self-hosted tiers by weight; the base only sets the scale (USD per million tokens). */
export const DEFAULT_BASE_PRICE = 0.1

/** Reading a prompt is far faster than writing an answer; 20 × is the low end of what vLLM reports. */
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

function gpuRates(price: Extract<Price, { perGpuSecond: number }>, path: string): Rates {
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

function flat(rate: number): Rates {
  return { input: rate, output: rate, cachedInput: rate, cacheWrite: rate }
}

function perToken(usdPerMTok: number): number {
  return ceilTolerant(usdPerMTok * PICO_PER_USD_PER_MTOK)
}

function figure(value: number, path: string, sign: "positive" | "not negative" = "not negative"): number {
  if (
    typeof value !== "number" ||
    !Number.isFinite(value) ||
    value < 0 ||
    (sign === "positive" && value === 0)
  ) {
    throw new ConfigError(path, `${value} is not a price`, `give a ${sign} number of USD, or say "free"`)
  }
  return value
}
