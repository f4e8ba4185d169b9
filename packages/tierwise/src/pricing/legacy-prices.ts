import type { PublishedPrice } from "../spec/catalog.ts"

const OPENAI_2024 = { source: "https://openai.com/api/pricing", asOf: "2024-01-25" }

/** One price for a token, whichever way it goes. No provider's list: read no earlier than Phi-3.5 was released. */
const EARLY_ROUTERS = { source: "price tables of earlier routers, per 1,000 tokens", asOf: "2024-08-20" }

/**
 * The prices that routers before this one were built with (rows A1 and C2, there per 1,000 tokens). For examples, replays
 * of old logs and comparisons; what these models cost today, a `priceTable` knows better.
 */
export const LEGACY_PRICES: Readonly<
  Record<
    "phi-3.5-mini" | "mistral-7b" | "llama-3.1-70b" | "gpt-3.5-turbo" | "gpt-4" | "gpt-4-turbo",
    PublishedPrice
  >
> = {
  "phi-3.5-mini": { inputPerMTok: 0.1, outputPerMTok: 0.1, ...EARLY_ROUTERS },
  "mistral-7b": { inputPerMTok: 0.2, outputPerMTok: 0.2, ...EARLY_ROUTERS },
  "llama-3.1-70b": { inputPerMTok: 0.8, outputPerMTok: 0.8, ...EARLY_ROUTERS },
  "gpt-3.5-turbo": { inputPerMTok: 0.5, outputPerMTok: 1.5, ...OPENAI_2024 },
  "gpt-4": { inputPerMTok: 30, outputPerMTok: 60, ...OPENAI_2024 },
  "gpt-4-turbo": { inputPerMTok: 10, outputPerMTok: 30, ...OPENAI_2024 },
}
