import { describe, expect, it } from "vitest"
import { publishedPrice } from "./published-price.ts"

describe("publishedPrice", () => {
  it("gives input, output and cache prices, and says where they were read", async () => {
    expect(await publishedPrice("anthropic", "claude-3-5-haiku-latest")).toEqual({
      inputPerMTok: 0.8,
      outputPerMTok: 4,
      cachedInputPerMTok: 0.08,
      cacheWritePerMTok: 1,
      source: "@pydantic/genai-prices, anthropic/claude-3-5-haiku-latest",
    })
  })

  it("gives the price of long contexts apart", async () => {
    // 1.25 and 10 USD up to 200,000 tokens, 2.5 and 15 beyond.
    expect(await publishedPrice("google", "gemini-2.5-pro")).toMatchObject({
      inputPerMTok: 1.25,
      outputPerMTok: 10,
      longContext: { aboveInputTokens: 200_000, inputPerMTok: 2.5, outputPerMTok: 15 },
    })
  })

  it("knows no price in tokens for a model that takes a fee per request as well", async () => {
    expect(await publishedPrice("perplexity", "sonar")).toBeUndefined()
  })

  it("knows no price for a model nobody lists", async () => {
    expect(await publishedPrice("openai", "never-heard-of")).toBeUndefined()
  })
})
