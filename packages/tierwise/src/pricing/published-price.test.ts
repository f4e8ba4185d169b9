import { readFile } from "node:fs/promises"
import { calcPrice, findProvider } from "@pydantic/genai-prices"
import { describe, expect, it } from "vitest"
import type { PublishedPrice } from "../spec/catalog.ts"
import { NO_USAGE, type Usage } from "../spec/usage.ts"
import { costOf } from "./cost.ts"
import { publishedPrice } from "./published-price.ts"
import { ratesOf } from "./rates.ts"

const at = Date.parse("2026-10-01T12:00:00Z")

describe("publishedPrice", () => {
  it("gives input, output and cache prices, and says where they were read", async () => {
    expect(await publishedPrice("anthropic", "claude-3-5-haiku-latest", at)).toEqual({
      inputPerMTok: 0.8,
      outputPerMTok: 4,
      cachedInputPerMTok: 0.08,
      cacheWritePerMTok: 1,
      cacheWrite1hPerMTok: 1.6,
      source: "@pydantic/genai-prices, anthropic/claude-3-5-haiku-latest",
    })
  })

  it("gives the price of long contexts apart", async () => {
    // 1.25 and 10 USD up to 200,000 tokens, 2.5 and 15 beyond.
    expect(await publishedPrice("google", "gemini-2.5-pro", at)).toMatchObject({
      inputPerMTok: 1.25,
      outputPerMTok: 10,
      longContext: { aboveInputTokens: 200_000, inputPerMTok: 2.5, outputPerMTok: 15 },
    })
  })

  it("gives the price of sound, heard and spoken", async () => {
    expect(await publishedPrice("openai", "gpt-audio", at)).toMatchObject({
      inputPerMTok: 2.5,
      inputAudioPerMTok: 32,
      outputAudioPerMTok: 64,
    })
  })

  it("knows that an hour in Claude's cache costs twice the input, also where the data does not say it", async () => {
    const model = "global.anthropic.claude-sonnet-5-v1:0"
    expect(await publishedPrice("aws", model, at)).toMatchObject({ inputPerMTok: 2, cacheWrite1hPerMTok: 4 })
  })

  it("takes the dearest hour where the price changes with the clock", async () => {
    // Off peak at noon UTC: 0.22 in and 0.66 out; from 01:00 to 04:00 and from 06:00 to 10:00 twice that.
    const noon = await publishedPrice("deepseek", "deepseek-v4-flash", at)
    expect(noon).toMatchObject({ inputPerMTok: 0.44, outputPerMTok: 1.32, cachedInputPerMTok: 0.014 })
    expect(noon?.source).toBe("@pydantic/genai-prices, deepseek/deepseek-v4-flash, at its dearest hour")
    const night = Date.parse("2026-10-01T02:00:00Z")
    expect(await publishedPrice("deepseek", "deepseek-v4-flash", night)).toEqual(noon)
  })

  it("takes the price of the day", async () => {
    const [before, after] = ["2025-06-09", "2025-06-10"].map((day) =>
      publishedPrice("openai", "o3", Date.parse(day)),
    )
    expect(await before).toMatchObject({ inputPerMTok: 10, outputPerMTok: 40 })
    expect(await after).toMatchObject({ inputPerMTok: 2, outputPerMTok: 8 })
  })

  it("bounds a picture where a model counts it in its own way", async () => {
    const most = async (model: string) => (await publishedPrice("openai", model, at))?.maxImageTokens
    expect(await most("gpt-4o-mini")).toBe(48_169)
    expect(await most("gpt-5.5")).toBe(10_000)
    expect(await most("gpt-5.4-mini")).toBeUndefined()
    expect(await most("gpt-6-sol")).toBe(30_000)
    expect(await most("gpt-4o")).toBeUndefined()
  })

  it.each([
    ["takes a fee per request as well", "perplexity", "sonar"],
    ["charges citations apart, which nobody reports", "perplexity", "sonar-deep-research"],
    ["speaks, at a price the data does not have", "openai", "gpt-4o-audio-preview"],
    ["is billed by the hour", "openai", "whisper-1"],
    ["has an entry without a price", "openrouter", "qwen/qwq-32b:free"],
    ["nobody lists", "openai", "never-heard-of"],
    ["is of a provider nobody lists", "never-heard-of", "gpt-4o"],
  ])("knows no price in tokens for a model that %s", async (_, provider, model) => {
    expect(await publishedPrice(provider, model, at)).toBeUndefined()
  })

  it("was collected when the data it comes with was", async () => {
    const path = new URL("../../node_modules/@pydantic/genai-prices/package.json", import.meta.url)
    const { version } = JSON.parse(await readFile(path, "utf8")) as { readonly version: string }
    // Another version: PRICE_DATA_AS_OF is its day of release.
    expect(version).toBe("0.1.8")
  })
})

const PROVIDERS = [
  "anthropic",
  "aws",
  "azure",
  "google",
  "groq",
  "mistral",
  "openai",
  "openrouter",
  "together",
]

/** One call of each length that matters, with a bit of every part that the price knows. */
function usagesFor({ longContext }: PublishedPrice): readonly Usage[] {
  const steps = longContext === undefined ? [] : Array.isArray(longContext) ? longContext : [longContext]
  const lengths = [1_234, ...steps.flatMap(({ aboveInputTokens: at }) => [at, at + 1, 3 * at])]
  return lengths.map((inputTokens) => ({
    ...NO_USAGE,
    inputTokens,
    outputTokens: 567,
    cachedInputTokens: 89,
    cacheWriteTokens: 75,
    cacheWrite1hTokens: 33,
  }))
}

describe("publishedPrice, of every model", () => {
  it("comes to the bill that the data's own calculator works out", async () => {
    let priced = 0
    for (const id of PROVIDERS) {
      for (const { id: model } of findProvider({ providerId: id })?.models ?? []) {
        const found = calcPrice({}, model, { providerId: id, timestamp: new Date(at) })
        const price = await publishedPrice(id, model, at)
        // Entries are matched by name: some are shadowed by another one of their provider.
        if (price === undefined || found === null || found.model.id !== model) continue
        priced++
        const rates = ratesOf(price, model)
        for (const usage of usagesFor(price)) {
          const usd = billFor(usage, price, model, id)
          // Their sum is in floats, ours is rounded up to a whole NanoUsd.
          expect(costOf(usage, rates) / 1e9 - usd).toBeGreaterThan(-1e-12)
          expect(costOf(usage, rates) / 1e9 - usd).toBeLessThan(1e-9 + 1e-12)
        }
      }
    }
    expect(priced).toBeGreaterThan(800)
  })
})

/** Theirs wants no part that a model has no price for: what is read from a cache is plain input there. */
function billFor(usage: Usage, price: PublishedPrice, model: string, providerId: string): number {
  const { cachedInputPerMTok, cacheWritePerMTok, cacheWrite1hPerMTok } = price
  const hasHour = "cache_write_1h_mtok" in (pricesOf(model, providerId) as object)
  const bill = calcPrice(
    {
      input_tokens: usage.inputTokens,
      output_tokens: usage.outputTokens,
      ...(cachedInputPerMTok !== undefined && { cache_read_tokens: usage.cachedInputTokens }),
      ...(cacheWritePerMTok !== undefined && { cache_write_tokens: usage.cacheWriteTokens }),
      ...(hasHour && { cache_write_1h_tokens: usage.cacheWrite1hTokens }),
    },
    model,
    { providerId, timestamp: new Date(at) },
  )
  // The hour that the data leaves out is charged by Anthropic's rule.
  const isLong = (bill?.model_price["input_mtok"] as { tiers?: unknown } | undefined)?.tiers !== undefined
  const hour = cacheWrite1hPerMTok
  if (hasHour || hour === undefined || cacheWritePerMTok === undefined) return bill?.total_price ?? Number.NaN
  const long = price.longContext as PublishedPrice & { readonly aboveInputTokens: number }
  const step = isLong && usage.inputTokens > long.aboveInputTokens ? long : price
  const extra = (step.cacheWrite1hPerMTok ?? 0) - (step.cacheWritePerMTok ?? 0)
  return (bill?.total_price ?? Number.NaN) + (usage.cacheWrite1hTokens * extra) / 1e6
}

function pricesOf(model: string, providerId: string): unknown {
  return calcPrice({}, model, { providerId, timestamp: new Date(at) })?.model_price
}
