import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { HeaderSource } from "./headers.ts"
import type { Amount } from "./money.ts"
import type { Tier } from "./request.ts"
import type { TrafficLimit } from "./traffic.ts"

/** USD per million tokens, as providers publish it: 0 or more, at most 100,000. */
export interface TokenPrice {
  readonly inputPerMTok: number
  readonly outputPerMTok: number
  /** Read from the provider's prompt cache. Default: `inputPerMTok`. */
  readonly cachedInputPerMTok?: number | undefined
  /** Written to the provider's prompt cache; Anthropic: for five minutes. Default: `inputPerMTok`. */
  readonly cacheWritePerMTok?: number | undefined
  /** Written to it for an hour (Anthropic). Default: `cacheWritePerMTok`. */
  readonly cacheWrite1hPerMTok?: number | undefined
  /** Sound that is heard, cached or not. Default: `inputPerMTok`. */
  readonly inputAudioPerMTok?: number | undefined
  /** Pictures that are seen, cached or not. Default: `inputPerMTok`. */
  readonly inputImagePerMTok?: number | undefined
  /** Default: `outputPerMTok`. */
  readonly reasoningPerMTok?: number | undefined
  /** Speech. Default: `outputPerMTok`. */
  readonly outputAudioPerMTok?: number | undefined
  /** Pictures that are made. Default: `outputPerMTok`. */
  readonly outputImagePerMTok?: number | undefined
}

/** Replaces the prices of the whole call when its input, cached tokens included, is longer than this. */
export interface LongContextPrice extends TokenPrice {
  /** Tokens, at least 1. */
  readonly aboveInputTokens: number
}

/** What a provider publishes for one model. */
export interface PublishedPrice extends TokenPrice {
  /** One step or several; of those that a call's input is above, the highest counts. */
  readonly longContext?: LongContextPrice | readonly LongContextPrice[] | undefined
  /**
   * Every figure times this: 0.5 for a deployment that is billed at batch or flex prices, 1.1 for one in a region with a
   * surcharge. Above 0, at most 100. Default 1.
   */
  readonly multiplier?: number | undefined
  /**
   * The most tokens one picture is billed as, for models that count pictures in their own way. Whole, 0 or more.
   * Default: the router's `mediaTokens.image`.
   */
  readonly maxImageTokens?: number | undefined
  /** Where the price was read, and when (ISO date, e.g. `2026-09-23`). */
  readonly source?: string | undefined
  readonly asOf?: string | undefined
}

/**
 * What a deployment charges.
 * - per million tokens in USD;
 * - `costWeight` × `base` (USD per million tokens, default 0.1) for self-hosted models without a price list (row E2);
 * - `perGpuSecond` in USD with the tokens per second it makes, for self-hosted models priced by machine time;
 * - `"free"`, said on purpose. There is no default: an unknown price is a configuration error.
 */
export type Price =
  | PublishedPrice
  | { readonly costWeight: number; readonly base?: number | undefined }
  | {
      readonly perGpuSecond: number
      /** Output tokens per second of one request. */
      readonly outputTokensPerSecond: number
      /** Input tokens per second; default 20 × the output speed. */
      readonly inputTokensPerSecond?: number | undefined
    }
  | "free"

/** What things cost. `priceTable()` is one over published data; `priceTableContract` proves another. */
export interface PriceTable {
  /**
   * The price of a provider's model, with where and when it was read.
   *
   * @param provider As in `openai/gpt-5`: `openai`, `anthropic`, `google`, `together`, …
   * @throws ConfigError for a model whose price is unknown: nothing is free unless somebody says so.
   */
  priceOf(provider: string, model: string): Promise<Price>
}

/**
 * What a deployment can do. Only what is known to be true counts: a missing capability excludes the deployment
 * from requests that need it. Same names as LangChain's `ModelProfile`, whose values are the default.
 */
export interface DeploymentProfile {
  /** Tokens of the context window; input and output must fit together. */
  readonly maxInputTokens?: number | undefined
  readonly maxOutputTokens?: number | undefined
  readonly toolCalling?: boolean | undefined
  readonly structuredOutput?: boolean | undefined
  readonly imageInputs?: boolean | undefined
  readonly audioInputs?: boolean | undefined
  readonly pdfInputs?: boolean | undefined
}

/** One callable model with a price. */
export interface Deployment {
  /** Unique in the router. */
  readonly id: string
  readonly tier: Tier
  readonly model: BaseChatModel
  readonly price: Price
  readonly profile: DeploymentProfile
  /** Output cap in tokens for calls that name none; the router's default otherwise. */
  readonly maxOutputTokens?: number | undefined
  readonly version?: string | undefined
  /** Facts a request may ask for, e.g. `{ region: "eu", local: "true" }`. */
  readonly labels: Readonly<Record<string, string>>
  /** Share of the calls among equals; default 1. 0 = only when nobody else is left. */
  readonly weight: number
  readonly limits?: TrafficLimit | undefined
  /** Where it is heard what its provider says of its limits. Undefined: in refusals alone. */
  readonly headers?: HeaderSource | undefined
  /** If given, only these tenants may use it. */
  readonly tenants?: readonly string[] | undefined
  /** GPU memory in GB, for reports on self-hosted tiers (row E2). */
  readonly gpuMemoryGb?: number | undefined
}

/** A deployment that cannot take this request, and why. */
export interface Exclusion {
  readonly id: string
  readonly tier: Tier
  readonly because: string
}

/** A deployment that can take this request, with the most it can cost. */
export interface Candidate {
  readonly deployment: Deployment
  readonly quote: Amount
  /** The output cap the quote is made with, and which is sent to the provider. */
  readonly maxOutputTokens: number
}
