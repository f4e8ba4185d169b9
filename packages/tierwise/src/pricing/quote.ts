import type { Amount } from "../spec/money.ts"
import type { RequestFeatures } from "../spec/request.ts"
import { priced } from "./cost.ts"
import { type Rates, ratesAt } from "./rates.ts"

/**
 * How the input of a quote is bounded.
 * - `upper-bound` (default): by UTF-8 bytes; no byte-level tokenizer makes more tokens than bytes. About four times
 *   the real count for English, so holds are larger than costs, and a budget can never be overspent.
 * - `estimated`: by the token estimate; tight, but a text the estimator misjudges may cost more than its hold.
 */
export type QuoteInput = "upper-bound" | "estimated"

/**
 * The most tokens one picture, clip or file may be billed as, where its real size cannot be seen in the request.
 * Defaults: image 4,800 (above the published maximum of one image at full detail: 1,445 for gpt-4o, about 4,784 for
 * Claude's largest; a model that bills images at a multiple, such as gpt-4o-mini, needs its own figure), audio clip
 * 20,000 (half an hour at 10 tokens a second), file 100,000; inline clips and files at least one token per byte.
 */
export interface MediaTokens {
  readonly image: number
  readonly audioClip: number
  readonly file: number
}

export const DEFAULT_MEDIA_TOKENS: MediaTokens = { image: 4_800, audioClip: 20_000, file: 100_000 }

export interface QuoteOptions {
  readonly maxOutputTokens: number
  readonly quoteInput: QuoteInput
  readonly mediaTokens: MediaTokens
  /** Answers per call (`n`); each may use the whole output cap. Default 1. */
  readonly completions?: number | undefined
}

/** The most a call can cost. The input may be billed as a cache write, the output may fill its cap. */
export function quote(features: RequestFeatures, rates: Rates, options: QuoteOptions): Amount {
  const text = options.quoteInput === "upper-bound" ? features.inputBytes : features.inputTokens
  const input = text + mediaTokensOf(features, options.mediaTokens)
  const output = options.maxOutputTokens * (options.completions ?? 1)
  // The input is a bound: the real one may be short enough for the other rates, and those may be the dearer ones.
  const possible = [rates, ratesAt(rates, input)]
  const dearestInput = Math.max(...possible.flatMap((at) => [at.input, at.cacheWrite, at.cachedInput]))
  const dearestOutput = Math.max(...possible.map((at) => at.output))
  return { money: priced(input * dearestInput + output * dearestOutput), tokens: input + output }
}

/** The most tokens the request's pictures, clips and files may take. */
export function mediaTokensOf(features: RequestFeatures, bounds: MediaTokens): number {
  const { images, audioClips, files, mediaBytes } = features
  if (images + audioClips + files === 0) return 0
  const fixed = images * bounds.image + audioClips * bounds.audioClip + files * bounds.file
  // An inline document or clip may be larger than its fixed figure; images are billed by pixels, not bytes.
  return audioClips + files === 0 ? fixed : fixed + mediaBytes
}
