import type { PublishedPrice, TokenPrice } from "../spec/catalog.ts"

/**
 * The published price of a provider's model, from the data of `@pydantic/genai-prices`, or undefined if it lists none.
 * Where a price rises in several steps with the context length, the first step is priced like the highest: a hold must
 * never be too small. A model that also takes a fee per request has no price here: tokens alone would be too little.
 *
 * @param provider The provider's id in that data: `openai`, `anthropic`, `together`, …
 */
export async function publishedPrice(provider: string, model: string): Promise<PublishedPrice | undefined> {
  const { calcPrice } = await import("@pydantic/genai-prices")
  const found = calcPrice({ input_tokens: 1, output_tokens: 1 }, model, { providerId: provider })
  if (found === null) return undefined
  const figures: Figures = found.model_price
  // A fee per request cannot be said in tokens; half a price is no price.
  if (figures["requests_kcount"] !== undefined) return undefined
  const base = priceBy(figures, baseOf)
  if (base === undefined) return undefined
  const steps = Object.values(figures).flatMap((figure) => (typeof figure === "object" ? figure.tiers : []))
  const aboveInputTokens = Math.min(...steps.map(({ start }) => start))
  const long = steps.length === 0 ? undefined : priceBy(figures, highestOf)
  return {
    ...base,
    ...(long && { longContext: { ...long, aboveInputTokens } }),
    source: `@pydantic/genai-prices, ${provider}/${found.model.id}`,
  }
}

type Figure =
  | number
  | { readonly base: number; readonly tiers: readonly { readonly start: number; readonly price: number }[] }

type Figures = Readonly<Record<string, Figure | undefined>>

function priceBy(figures: Figures, pick: (figure: Figure) => number): TokenPrice | undefined {
  const named = (name: string) => {
    const figure = figures[name]
    return figure === undefined ? undefined : pick(figure)
  }
  const [inputPerMTok, outputPerMTok] = [named("input_mtok"), named("output_mtok")]
  if (inputPerMTok === undefined || outputPerMTok === undefined) return undefined
  const [cachedInputPerMTok, cacheWritePerMTok] = [named("cache_read_mtok"), named("cache_write_mtok")]
  return { inputPerMTok, outputPerMTok, cachedInputPerMTok, cacheWritePerMTok }
}

function baseOf(figure: Figure): number {
  return typeof figure === "number" ? figure : figure.base
}

function highestOf(figure: Figure): number {
  return typeof figure === "number"
    ? figure
    : Math.max(figure.base, ...figure.tiers.map(({ price }) => price))
}
