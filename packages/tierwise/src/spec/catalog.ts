import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { Amount } from "./money.ts"
import type { Tier } from "./request.ts"

/** USD per million tokens, as providers publish it. */
export interface TokenPrice {
  readonly inputPerMTok: number
  readonly outputPerMTok: number
  /** Default: `inputPerMTok`. */
  readonly cachedInputPerMTok?: number | undefined
  /** Default: `inputPerMTok`. */
  readonly cacheWritePerMTok?: number | undefined
}

/** What a provider publishes for one model. */
export interface PublishedPrice extends TokenPrice {
  /** Replaces the prices of the whole call when its input, cached tokens included, is longer than this. */
  readonly longContext?: (TokenPrice & { readonly aboveInputTokens: number }) | undefined
  /** Where the price was read, and when (ISO date). */
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
