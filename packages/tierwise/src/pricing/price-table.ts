import type { Price, PriceTable, PublishedPrice } from "../spec/catalog.ts"
import { ConfigError } from "../spec/errors.ts"
import { PRICE_DATA_AS_OF, publishedPrice } from "./published-price.ts"
import { ratesOf } from "./rates.ts"

/** A price that was read long ago. It is used all the same. */
export interface StalePrice {
  readonly provider: string
  readonly model: string
  readonly price: PublishedPrice
  /** ISO date. */
  readonly asOf: string
  readonly ageDays: number
}

export interface PriceTableOptions {
  /**
   * Prices that win over the published ones, by `provider/model`, e.g. `{ "openai/gpt-5": { … }, "vllm/qwen": "free" }`.
   * A price in USD says where and when it was read (`source`, `asOf`).
   */
  readonly overrides?: Readonly<Record<string, Price>> | undefined
  /** Prices read longer ago than this, in days, are told to `onStale`. At least 0; Infinity: never. Default 60. */
  readonly staleAfterDays?: number | undefined
  /** Told once of every price that is used and stale. What it throws, or rejects with, is thrown to nobody. Default: nobody is told. */
  readonly onStale?: ((stale: StalePrice) => void) | undefined
  /** ISO date of the published prices, for those who refresh them with that package's own `updatePrices`. */
  readonly publishedAsOf?: string | undefined
  /** Epoch ms. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

const DEFAULT_STALE_AFTER_DAYS = 60

const DAY_MS = 86_400_000

/**
 * What things cost: the maintained data of `@pydantic/genai-prices`, over 1,500 models of 40 providers, and whatever you
 * know better. The data is loaded with the first question, not before.
 *
 * @example const prices = priceTable({ overrides: { "openai/my-finetune": { inputPerMTok: 3, outputPerMTok: 12,
 *   source: "https://openai.com/api/pricing", asOf: "2026-11-01" } }, onStale: ({ model }) => log.warn(model) })
 * const deployment = { tier: "light", model, price: await prices.priceOf("openai", "gpt-4o-mini") }
 *
 * @throws ConfigError naming an override that is no price or does not say where and when it was read.
 */
export function priceTable(options: PriceTableOptions = {}): PriceTable {
  const { overrides = {}, onStale, now = Date.now } = options
  const staleAfterDays = daysOf(options.staleAfterDays ?? DEFAULT_STALE_AFTER_DAYS)
  const publishedAsOf = isoDate(options.publishedAsOf ?? PRICE_DATA_AS_OF, "publishedAsOf")
  for (const [name, price] of Object.entries(overrides)) checkOverride(price, `overrides["${name}"]`)
  const told = new Set<string>()

  const tellIfStale = (provider: string, model: string, price: PublishedPrice) => {
    const asOf = price.asOf ?? publishedAsOf
    const ageDays = Math.floor((now() - Date.parse(asOf)) / DAY_MS)
    const name = `${provider}/${model}`
    if (ageDays <= staleAfterDays || told.has(name)) return
    told.add(name)
    try {
      const returned: unknown = onStale?.({ provider, model, price, asOf, ageDays })
      // An async listener type-checks as a void one; its rejection must not become an unhandled one.
      Promise.resolve(returned).catch(() => {})
    } catch {
      // A warning that fails must not take the price away.
    }
  }

  return {
    async priceOf(provider, model) {
      const name = `${provider}/${model}`
      const own = overrides[name]
      const listed = own ?? (await publishedPrice(provider, model, now()))
      if (listed === undefined) throw unknownPrice(provider, model)
      const price = own === undefined ? { ...(listed as PublishedPrice), asOf: publishedAsOf } : own
      if (isPublished(price)) tellIfStale(provider, model, price)
      return price
    },
  }
}

function unknownPrice(provider: string, model: string): ConfigError {
  return new ConfigError(
    `prices["${provider}/${model}"]`,
    "no price in tokens is known",
    `give one in overrides["${provider}/${model}"], with its source and asOf, or say "free"`,
  )
}

/** JavaScript callers may give anything, whatever the types say. */
function checkOverride(given: unknown, path: string): void {
  if (given !== "free" && (typeof given !== "object" || given === null)) {
    throw new ConfigError(
      path,
      `${String(given)} is not a price`,
      'give USD per million tokens, or say "free"',
    )
  }
  const price = given as Price
  ratesOf(price, path)
  if (!isPublished(price)) return
  if (price.source === undefined || price.source === "") {
    throw new ConfigError(`${path}.source`, "it is missing", "say where the price was read, e.g. a page")
  }
  isoDate(price.asOf, `${path}.asOf`)
}

function isPublished(price: Price): price is PublishedPrice {
  return typeof price === "object" && "inputPerMTok" in price
}

function isoDate(date: string | undefined, path: string): string {
  if (date !== undefined && /^\d{4}-\d{2}-\d{2}/.test(date) && !Number.isNaN(Date.parse(date))) return date
  throw new ConfigError(path, `${String(date)} is not a date`, "write when it was read, e.g. 2026-09-23")
}

function daysOf(days: number): number {
  if (typeof days === "number" && days >= 0) return days
  throw new ConfigError("staleAfterDays", `${days} is not a number of days`, "give 0 or more")
}
