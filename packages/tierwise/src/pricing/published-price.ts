import type { Price } from "../spec/catalog.ts"

/**
 * The published price of a provider's model, from the data of `@pydantic/genai-prices`, or undefined if it lists none.
 * Where a price rises with the context length, the highest step counts: a hold must never be too small.
 *
 * @param provider The provider's id in that data: `openai`, `anthropic`, `together`, …
 */
export async function publishedPrice(provider: string, model: string): Promise<Price | undefined> {
  const { calcPrice } = await import("@pydantic/genai-prices")
  const found = calcPrice({ input_tokens: 1, output_tokens: 1 }, model, { providerId: provider })
  const inputPerMTok = highest(found?.model_price["input_mtok"])
  const outputPerMTok = highest(found?.model_price["output_mtok"])
  if (inputPerMTok === undefined || outputPerMTok === undefined) return undefined
  return {
    inputPerMTok,
    outputPerMTok,
    cachedInputPerMTok: highest(found?.model_price["cache_read_mtok"]),
    cacheWritePerMTok: highest(found?.model_price["cache_write_mtok"]),
    source: `@pydantic/genai-prices, ${provider}/${found?.model.id}`,
  }
}

type Figure = number | { readonly base: number; readonly tiers: readonly { readonly price: number }[] }

function highest(figure: Figure | undefined): number | undefined {
  if (figure === undefined || typeof figure === "number") return figure
  return Math.max(figure.base, ...figure.tiers.map(({ price }) => price))
}
