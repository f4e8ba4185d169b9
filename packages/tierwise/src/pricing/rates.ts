import type { LongContextPrice, Price, PublishedPrice, TokenPrice } from "../spec/catalog.ts"
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
  readonly cacheWrite1h: number
  readonly inputAudio: number
  readonly inputImage: number
  readonly reasoning: number
  readonly outputAudio: number
  readonly outputImage: number
}

/** The rates that replace all others for inputs longer than this. */
export interface RateStep extends TokenRates {
  readonly aboveInputTokens: number
}

/** The rates of a price. */
export interface Rates extends TokenRates {
  /** For long inputs, the shortest first; empty: one rate for all. */
  readonly steps: readonly RateStep[]
  /** The most tokens one picture is billed as; undefined: as the router was told. */
  readonly maxImageTokens?: number | undefined
}

/** 1 USD per million tokens = 1e6 pico-USD per token. */
const PICO_PER_USD_PER_MTOK = 1_000_000

/** A million times the dearest price of today is a slip of the unit, and would soon be more than integers can hold. */
const MOST_USD_PER_MTOK = 100_000

const MOST_MULTIPLIER = 100

/** Row E2 prices self-hosted tiers by weight; the base only sets the scale (USD per million tokens). */
export const DEFAULT_BASE_PRICE = 0.1

/** Prompts are read in parallel and answers written token by token; how much faster is our assumption, and an option. */
const INPUT_SPEED_FACTOR = 20

/** Where a price was read; any price may say so. */
const ORIGIN = ["source", "asOf"]

const TOKEN_FIELDS = [
  "inputPerMTok",
  "outputPerMTok",
  "cachedInputPerMTok",
  "cacheWritePerMTok",
  "cacheWrite1hPerMTok",
  "inputAudioPerMTok",
  "inputImagePerMTok",
  "reasoningPerMTok",
  "outputAudioPerMTok",
  "outputImagePerMTok",
] as const satisfies readonly (keyof TokenPrice)[]

/** What each form of a price may hold. */
const FIELDS = {
  weighted: ["costWeight", "base", ...ORIGIN],
  byMachineTime: ["perGpuSecond", "outputTokensPerSecond", "inputTokensPerSecond", ...ORIGIN],
  published: [...TOKEN_FIELDS, "longContext", "multiplier", "maxImageTokens", ...ORIGIN],
  longContext: [...TOKEN_FIELDS, "aboveInputTokens"],
} as const

/**
 * @throws ConfigError naming `path` for a negative, missing, non-finite or absurd figure, for one whose name is no part of
 * such a price, and for two steps of a long context at the same length.
 */
export function ratesOf(price: Price, path: string): Rates {
  if (price === "free") return { ...flat(0, 0), steps: [] }
  if ("costWeight" in price) {
    checkFields(price, FIELDS.weighted, path)
    const weight = figure(price.costWeight, `${path}.costWeight`, "positive")
    const base = figure(price.base ?? DEFAULT_BASE_PRICE, `${path}.base`, "positive")
    const rate = perToken(weight * base, `${path}.costWeight`)
    return { ...flat(rate, rate), steps: [] }
  }
  if ("perGpuSecond" in price) {
    checkFields(price, FIELDS.byMachineTime, path)
    return { ...gpuRates(price, path), steps: [] }
  }
  checkFields(price, FIELDS.published, path)
  return publishedRates(price, path)
}

/** The rates of a call whose input has this many tokens. */
export function ratesAt(rates: Rates, inputTokens: number): TokenRates {
  return rates.steps.findLast(({ aboveInputTokens }) => inputTokens > aboveInputTokens) ?? rates
}

/** A figure under a name that nobody reads would be charged at its default, and nobody would know. */
function checkFields(price: object, names: readonly string[], path: string): void {
  const unknown = Object.entries(price).find(([name, value]) => value !== undefined && !names.includes(name))
  if (unknown === undefined) return
  const [name] = unknown
  const meant = names.find((known) => known.toLowerCase() === name.toLowerCase())
  const fix = meant === undefined ? `use one of ${names.join(", ")}` : `write ${meant}`
  throw new ConfigError(`${path}.${name}`, "it is no part of such a price", fix)
}

function publishedRates(price: PublishedPrice, path: string): Rates {
  const multiplier = multiplierOf(price, path)
  const { maxImageTokens } = price
  return {
    ...tokenRates(price, multiplier, path),
    steps: stepsOf(price, multiplier, path),
    ...(maxImageTokens !== undefined && {
      maxImageTokens: wholeTokens(maxImageTokens, 0, `${path}.maxImageTokens`),
    }),
  }
}

function multiplierOf({ multiplier = 1 }: PublishedPrice, path: string): number {
  if (multiplier > 0 && multiplier <= MOST_MULTIPLIER) return multiplier
  const fix = `give a factor above 0, at most ${MOST_MULTIPLIER}, e.g. 0.5 for batch prices`
  throw new ConfigError(`${path}.multiplier`, `${multiplier} is not a factor`, fix)
}

function stepsOf({ longContext }: PublishedPrice, multiplier: number, path: string): readonly RateStep[] {
  if (longContext === undefined) return []
  const isList = Array.isArray(longContext)
  const prices = (isList ? longContext : [longContext]) as readonly LongContextPrice[]
  const steps = prices.map((price, index) => {
    const at = `${path}.longContext${isList ? `[${index}]` : ""}`
    checkFields(price, FIELDS.longContext, at)
    if (prices.findIndex((other) => other.aboveInputTokens === price.aboveInputTokens) < index) {
      const problem = `another step begins at ${price.aboveInputTokens} too`
      throw new ConfigError(`${at}.aboveInputTokens`, problem, "give one price for each length")
    }
    const aboveInputTokens = wholeTokens(price.aboveInputTokens, 1, `${at}.aboveInputTokens`)
    return { ...tokenRates(price, multiplier, at), aboveInputTokens }
  })
  return steps.sort((a, b) => a.aboveInputTokens - b.aboveInputTokens)
}

function tokenRates(price: TokenPrice, multiplier: number, path: string): TokenRates {
  const rate = (name: keyof TokenPrice, value: number | undefined) =>
    perToken(figure(value as number, `${path}.${name}`) * multiplier, `${path}.${name}`)
  const or = (name: keyof TokenPrice, otherwise: number) =>
    price[name] === undefined ? otherwise : rate(name, price[name])
  const input = rate("inputPerMTok", price.inputPerMTok)
  const output = rate("outputPerMTok", price.outputPerMTok)
  const cacheWrite = or("cacheWritePerMTok", input)
  return {
    input,
    output,
    cachedInput: or("cachedInputPerMTok", input),
    cacheWrite,
    cacheWrite1h: or("cacheWrite1hPerMTok", cacheWrite),
    inputAudio: or("inputAudioPerMTok", input),
    inputImage: or("inputImagePerMTok", input),
    reasoning: or("reasoningPerMTok", output),
    outputAudio: or("outputAudioPerMTok", output),
    outputImage: or("outputImagePerMTok", output),
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
  const usdPerMTok = (speed: number) => (second * 1e6) / speed
  return flat(
    perToken(usdPerMTok(inputSpeed), `${path}.perGpuSecond`),
    perToken(usdPerMTok(outputSpeed), `${path}.perGpuSecond`),
  )
}

function flat(input: number, output: number): TokenRates {
  return {
    input,
    output,
    cachedInput: input,
    cacheWrite: input,
    cacheWrite1h: input,
    inputAudio: input,
    inputImage: input,
    reasoning: output,
    outputAudio: output,
    outputImage: output,
  }
}

function perToken(usdPerMTok: number, path: string): number {
  if (usdPerMTok <= MOST_USD_PER_MTOK) return ceilTolerant(usdPerMTok * PICO_PER_USD_PER_MTOK)
  const fix = `give USD per million tokens, at most ${MOST_USD_PER_MTOK}`
  throw new ConfigError(path, `it makes ${usdPerMTok} USD per million tokens`, fix)
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

function wholeTokens(value: number, least: number, path: string): number {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new ConfigError(path, `${value} is not a number of tokens`, `give a whole number from ${least}`)
}
