import type { Amount } from "../spec/money.ts"
import type { RequestFeatures } from "../spec/request.ts"
import { priced } from "./cost.ts"
import type { Rates, TokenRates } from "./rates.ts"

/**
 * How the input of a quote is bounded.
 * - `upper-bound` (default): by UTF-8 bytes; no byte-level tokenizer makes more tokens than bytes. About four times
 *   the real count for English, so holds are larger than costs. A tokenizer that rewrites its text first (NFC, NFKC) may
 *   make more of characters that grow by it: the 3 bytes of U+FDFA become 33. A text of little else may so cost more than
 *   its hold; the budget books that as overrun.
 * - `estimated`: by the token estimate; tight, but a text the estimator misjudges may cost more than its hold.
 */
export type QuoteInput = "upper-bound" | "estimated"

/**
 * The most tokens one picture, clip or file may be billed as, where its real size cannot be seen in the request.
 * Defaults: image 4,800 (above the published maximum of one image at full detail: 1,445 for gpt-4o, about 4,784 for
 * Claude's largest; gpt-4o-mini with 48,169 and gpt-5.6 with 30,000 say so in their price's `maxImageTokens`), audio clip
 * 20,000 (half an hour at 10 tokens a second), file 100,000. What is sent inline counts by its bytes on top: a file one
 * token per byte, a clip one per 16.
 */
export interface MediaTokens {
  readonly image: number
  readonly audioClip: number
  readonly file: number
}

export const DEFAULT_MEDIA_TOKENS: MediaTokens = { image: 4_800, audioClip: 20_000, file: 100_000 }

/**
 * Sound is billed by its length, at most 32 tokens a second (Gemini; OpenAI 10), and the leanest speech codec that is
 * taken makes 594 bytes a second (AMR at 4.75 kbit/s): 18 bytes a token.
 */
const LEAST_BYTES_PER_AUDIO_TOKEN = 16

export interface QuoteOptions {
  readonly maxOutputTokens: number
  readonly quoteInput: QuoteInput
  readonly mediaTokens: MediaTokens
  /** Answers per call (`n`); each may use the whole output cap. Default 1. */
  readonly completions?: number | undefined
}

/**
 * The most a call can cost: every token of the input at the dearest rate it may be billed at (written to the cache for
 * an hour, heard, seen), the output full to its cap, at the dearest of all rates that a call of this length may come to.
 *
 * @throws ConfigError beyond about nine thousand dollars for one call.
 */
export function quote(features: RequestFeatures, rates: Rates, options: QuoteOptions): Amount {
  const text = options.quoteInput === "upper-bound" ? features.inputBytes : features.inputTokens
  const media = mediaBounds(features, { ...options.mediaTokens, ...imageBound(rates) })
  const input = text + media.image + media.audioClip + media.file
  const output = options.maxOutputTokens * (options.completions ?? 1)
  // The input is a bound: the real one may be shorter, and the rates of shorter ones may be the dearer ones.
  const possible = [rates, ...rates.steps.filter(({ aboveInputTokens }) => input > aboveInputTokens)]
  const dearest = (...names: readonly (keyof TokenRates)[]) => {
    let most = 0
    for (const at of possible) for (const name of names) most = Math.max(most, at[name])
    return most
  }
  const words = dearest("input", "cachedInput", "cacheWrite", "cacheWrite1h")
  const seen = dearest("inputImage")
  const heard = dearest("inputAudio")
  const money = priced(
    text * words +
      media.image * Math.max(words, seen) +
      media.audioClip * Math.max(words, heard) +
      media.file * Math.max(words, seen, heard) +
      output * dearest("output", "reasoning", "outputAudio", "outputImage"),
  )
  return { money, tokens: input + output }
}

/** The most tokens the request's pictures, clips and files may take. */
export function mediaTokensOf(features: RequestFeatures, bounds: MediaTokens): number {
  const { image, audioClip, file } = mediaBounds(features, bounds)
  return image + audioClip + file
}

/** A model that counts pictures in its own way says so in its price. */
function imageBound({ maxImageTokens }: Rates): Partial<MediaTokens> {
  return maxImageTokens === undefined ? {} : { image: maxImageTokens }
}

/** The same, by what they may be billed as. */
function mediaBounds(features: RequestFeatures, bounds: MediaTokens): MediaTokens {
  const { images, audioClips, files, mediaBytes } = features
  // An inline document or clip may be larger than its fixed figure; images are billed by pixels, not bytes.
  const fileBytes = files > 0 ? mediaBytes : 0
  const clipBytes = files === 0 && audioClips > 0 ? mediaBytes : 0
  return {
    image: images * bounds.image,
    audioClip: audioClips * bounds.audioClip + Math.ceil(clipBytes / LEAST_BYTES_PER_AUDIO_TOKEN),
    file: files * bounds.file + fileBytes,
  }
}
