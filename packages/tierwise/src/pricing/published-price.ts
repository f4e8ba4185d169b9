import type { LongContextPrice, PublishedPrice, TokenPrice } from "../spec/catalog.ts"

/** When the prices in `@pydantic/genai-prices` 0.1.8 were collected: the day of its release. */
export const PRICE_DATA_AS_OF = "2026-09-23"

/**
 * The published price of a provider's model, from the data of `@pydantic/genai-prices`, or undefined if it lists none that
 * can be said in tokens. Where a price changes with the hour of the day, the dearest hour counts, for holds and for costs: a
 * hold must never be too small, and a long call ends in another hour than it began. Such a price says so in its `source`; a
 * call at another hour costs less than is booked. Fees of a provider's own tools (a web search) are not in it.
 *
 * @param provider The provider's id in that data: `openai`, `anthropic`, `together`, …
 * @param at Epoch ms: prices that begin later do not count yet.
 */
export async function publishedPrice(
  provider: string,
  model: string,
  at: number,
): Promise<PublishedPrice | undefined> {
  const { calcPrice } = await import("@pydantic/genai-prices")
  const find = (timestamp: number) =>
    calcPrice({}, model, { providerId: provider, timestamp: new Date(timestamp) })
  const found = find(at)
  if (found === null) return undefined
  const hours = hoursOfChange(found.model.prices, at).map((hour): Figures => find(hour)?.model_price ?? {})
  const figures = hours.reduce(dearer, found.model_price)
  const price = priceOf(figures, found.model.id)
  const changes = hours.some((hour) => outputOf(hour) !== outputOf(found.model_price))
  const listed = `@pydantic/genai-prices, ${found.provider.id}/${found.model.id}`
  return price && { ...price, source: changes ? `${listed}, at its dearest hour` : listed }
}

type Figure =
  | number
  | { readonly base: number; readonly tiers: readonly { readonly start: number; readonly price: number }[] }

type Figures = Readonly<Record<string, Figure | undefined>>

/** The data's names for what we can bill. */
const FIGURES = {
  input_mtok: "inputPerMTok",
  output_mtok: "outputPerMTok",
  cache_read_mtok: "cachedInputPerMTok",
  cache_write_mtok: "cacheWritePerMTok",
  cache_write_1h_mtok: "cacheWrite1hPerMTok",
  input_audio_mtok: "inputAudioPerMTok",
  input_image_mtok: "inputImagePerMTok",
  output_reasoning_mtok: "reasoningPerMTok",
  output_audio_mtok: "outputAudioPerMTok",
  output_image_mtok: "outputImagePerMTok",
} as const satisfies Readonly<Record<string, keyof TokenPrice>>

/**
 * What may stand beside them: fees of tools that a call asks for by name, and sound and pictures read from the cache,
 * which no package reports apart, so that they are charged as any other. Anything else (a fee per request, by the hour,
 * by the page) is part of every bill and cannot be said in tokens: half a price is no price.
 */
const BESIDE: ReadonlySet<string> = new Set([
  "web_searches_kcount",
  "storage_searches_kcount",
  "cache_audio_read_mtok",
  "cache_image_read_mtok",
])

/** Models that hear and speak, or draw, at prices that the data does not have for all of them. */
const NEEDED: readonly (readonly [name: RegExp, anyOf: readonly string[]])[] = [
  [/audio|realtime|voice|tts/, ["input_audio_mtok", "output_audio_mtok"]],
  [/image/, ["input_image_mtok", "output_image_mtok"]],
]

/**
 * The most tokens of one picture, where it is more than the router's default.
 * https://developers.openai.com/api/docs/guides/images-vision (2026-09-25): gpt-4o-mini 2,833 + 5,667 for each of at most
 * 8 tiles; gpt-5.4 and gpt-5.5 10,000 patches; gpt-5.6 and gpt-6 30,000, beyond which a picture is refused.
 */
const IMAGE_TOKENS: readonly (readonly [name: RegExp, most: number])[] = [
  [/gpt-4o-mini/, 48_169],
  [/gpt-5\.[45](?!-(?:mini|nano))/, 10_000],
  [/gpt-5\.6|gpt-6/, 30_000],
]

function priceOf(figures: Figures, model: string): PublishedPrice | undefined {
  const names = Object.keys(figures).filter((name) => figures[name] !== undefined)
  if (!names.every((name) => name in FIGURES || BESIDE.has(name))) return undefined
  const isHalf = NEEDED.some(([name, anyOf]) => name.test(model) && !anyOf.some((one) => names.includes(one)))
  const base = pricesOf(figures, model, (figure) => stepOf(figure, 0))
  if (isHalf || base === undefined) return undefined
  const maxImageTokens = IMAGE_TOKENS.find(([name]) => name.test(model))?.[1]
  const longContext = stepsOf(figures, model)
  return {
    ...base,
    ...(longContext.length > 0 && { longContext: longContext.length === 1 ? longContext[0] : longContext }),
    ...(maxImageTokens !== undefined && { maxImageTokens }),
  }
}

function stepsOf(figures: Figures, model: string): readonly LongContextPrice[] {
  const starts = Object.values(figures).flatMap((figure) =>
    typeof figure === "object" ? figure.tiers.map(({ start }) => start) : [],
  )
  return [...new Set(starts)]
    .sort((a, b) => a - b)
    .flatMap((aboveInputTokens) => {
      const price = pricesOf(figures, model, (figure) => stepOf(figure, aboveInputTokens + 1))
      return price === undefined ? [] : [{ ...price, aboveInputTokens }]
    })
}

function pricesOf(figures: Figures, model: string, pick: (figure: Figure) => number): TokenPrice | undefined {
  const named = Object.entries(FIGURES).flatMap(([name, field]) => {
    const figure = figures[name]
    return figure === undefined ? [] : [[field, pick(figure)] as const]
  })
  const price = Object.fromEntries(named) as Partial<TokenPrice>
  const { inputPerMTok, outputPerMTok, cacheWritePerMTok } = price
  if (inputPerMTok === undefined || outputPerMTok === undefined) return undefined
  const whole = { ...price, inputPerMTok, outputPerMTok }
  if (cacheWritePerMTok === undefined || price.cacheWrite1hPerMTok !== undefined) return whole
  // Anthropic, "Prompt caching", 2026: an hour costs twice the input, wherever Claude is sold; the data has it once.
  return model.includes("claude") ? { ...whole, cacheWrite1hPerMTok: 2 * inputPerMTok } : whole
}

/** The price of a token in an input of this length. */
function stepOf(figure: Figure, inputTokens: number): number {
  if (typeof figure === "number") return figure
  const steps = [...figure.tiers].sort((a, b) => a.start - b.start)
  return steps.findLast(({ start }) => inputTokens > start)?.price ?? figure.base
}

/** The times of this day at which a price changes, epoch ms. */
function hoursOfChange(prices: object, at: number): readonly number[] {
  const today = new Date(at).toISOString().slice(0, "2026-01-01".length)
  const conditions: readonly { readonly constraint?: object }[] = Array.isArray(prices) ? prices : []
  return conditions.flatMap(({ constraint }) =>
    constraint !== undefined && "start_time" in constraint && "end_time" in constraint
      ? [constraint.start_time, constraint.end_time].map((time) => Date.parse(`${today}T${String(time)}`))
      : [],
  )
}

function dearer(a: Figures, b: Figures): Figures {
  return outputOf(b) > outputOf(a) ? b : a
}

/** Peak hours raise every figure alike, so that one tells. */
function outputOf(figures: Figures): number {
  return stepOf(figures["output_mtok"] ?? 0, 0)
}
