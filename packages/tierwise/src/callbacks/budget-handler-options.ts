import { checkNoDearer } from "../langchain/check-quotable.ts"
import type { MediaTokens, QuoteInput } from "../pricing/quote.ts"
import { type Rates, ratesOf } from "../pricing/rates.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { Price, PriceTable } from "../spec/catalog.ts"
import { ConfigError } from "../spec/errors.ts"
import type { Scopes } from "../spec/request.ts"
import type { CalledModel } from "./called-model.ts"

export interface BudgetCallbackHandlerOptions {
  /** Where the money is kept. */
  readonly budget: BudgetStore
  /**
   * What the models charge: one price for all of them, or a function of the model that is called. Where it is left out or
   * answers undefined, `prices` is asked. At least one of the two. A call that asks for a dearer tier of service or region
   * needs a price of its own here: listed ones are without it, and it is refused.
   */
  readonly price?: Price | ((model: CalledModel) => Price | undefined) | undefined
  /** Asked by the provider and the name that LangChain tells of a model, e.g. `priceTable()`. */
  readonly prices?: PriceTable | undefined
  /**
   * Who pays: the same for every call, or a function of the run's `metadata`. Default: nobody is named, and every call counts
   * for the id `default`. The scope `request` is the run, unless you name another.
   */
  readonly scopes?: Scopes | ((metadata: Readonly<Record<string, unknown>>) => Scopes) | undefined
  /**
   * Output tokens of one answer that money is held for where the call sends no cap of its own. Positive and whole; default
   * 4,096. A handler cannot cap what a model writes: what goes beyond is booked as overrun.
   */
  readonly maxOutputTokens?: number | undefined
  /** Default `upper-bound`. */
  readonly quoteInput?: QuoteInput | undefined
  /** Tokens, whole and 0 or more. Default: `DEFAULT_MEDIA_TOKENS`. */
  readonly mediaTokens?: Partial<MediaTokens> | undefined
  /**
   * Told when the store could not close a hold. The answer is given all the same, and the ledger tells its store again. What
   * it throws is ignored. Default: nobody is told.
   */
  readonly onProblem?: ((error: unknown) => void) | undefined
}

/** What a model charges. @throws ConfigError if nobody knows; InvalidRequestError where the call asks for more than is listed. */
export type RatesOfCalled = (model: CalledModel) => Promise<Rates>

const STORE_METHODS = ["reserve", "settle", "release", "status"] as const

/** @throws ConfigError naming the first option that cannot work. */
export function checkHandlerOptions(options: BudgetCallbackHandlerOptions): void {
  const { budget, price, prices, scopes, maxOutputTokens, quoteInput, mediaTokens, onProblem } =
    given(options)
  if (!has(budget, ...STORE_METHODS)) {
    throw new ConfigError("budget", "it is not a budget store", "give one, e.g. memoryBudget({ limits })")
  }
  if (price === undefined && prices === undefined) {
    throw new ConfigError(
      "price",
      "nobody knows what a call costs",
      'give price or prices; "free" is a price',
    )
  }
  if (prices !== undefined && !has(prices, "priceOf")) {
    throw new ConfigError("prices", "it is not a price table", "give one, e.g. priceTable()")
  }
  if (scopes !== undefined && typeof scopes !== "function" && !isRecord(scopes)) {
    const fix = 'give names and ids, e.g. { tenant: "acme" }, or a function of the metadata'
    throw new ConfigError("scopes", "it is not an object", fix)
  }
  if (maxOutputTokens !== undefined && !isWhole(maxOutputTokens, 1)) {
    const fix = "give a positive whole number of tokens"
    throw new ConfigError(
      "maxOutputTokens",
      `${JSON.stringify(maxOutputTokens)} is not a number of tokens`,
      fix,
    )
  }
  if (quoteInput !== undefined && quoteInput !== "upper-bound" && quoteInput !== "estimated") {
    throw new ConfigError(
      "quoteInput",
      `${JSON.stringify(quoteInput)} is not known`,
      "use upper-bound or estimated",
    )
  }
  for (const [name, tokens] of Object.entries(mediaTokens ?? {})) {
    if (tokens === undefined || isWhole(tokens, 0)) continue
    const fix = "give a whole number of tokens, 0 or more"
    throw new ConfigError(`mediaTokens.${name}`, `${String(tokens)} is not a number of tokens`, fix)
  }
  if (onProblem !== undefined && typeof onProblem !== "function") {
    throw new ConfigError("onProblem", "it is not a function", "give a function of the error")
  }
}

/** @throws ConfigError for a price that is none. */
export function ratesByModel({ price, prices }: BudgetCallbackHandlerOptions): RatesOfCalled {
  if (price !== undefined && typeof price !== "function") {
    const rates = ratesOf(price, "price")
    return async () => rates
  }
  return async (model) => {
    const own = price?.(model)
    if (own !== undefined) return ratesOf(own, `price of ${nameOf(model)}`)
    const { provider, name } = model
    if (prices === undefined || provider === undefined || name === undefined) throw unknownPrice(model)
    checkNoDearer(model.invocationParams)
    return ratesOf(await prices.priceOf(provider, name), `prices["${provider}/${name}"]`)
  }
}

function unknownPrice(model: CalledModel): ConfigError {
  const fix = 'let price answer with one for it; "free" is a price'
  return new ConfigError("price", `what ${nameOf(model)} charges is unknown`, fix)
}

function nameOf({ provider, name, serialized }: CalledModel): string {
  return name === undefined ? (serialized.id.at(-1) ?? "the model") : `${provider ?? "?"}/${name}`
}

function given(options: BudgetCallbackHandlerOptions): {
  readonly [Key in keyof BudgetCallbackHandlerOptions]?: unknown
} {
  if (isRecord(options)) return options
  throw new ConfigError("options", "they are missing", "give budget and price")
}

function has(value: unknown, ...methods: readonly string[]): boolean {
  return isRecord(value) && methods.every((name) => typeof value[name] === "function")
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function isWhole(value: unknown, least: number): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= least
}
