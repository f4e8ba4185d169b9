import type { BaseChatModelCallOptions, BindToolsInput } from "@langchain/core/language_models/chat_models"
import type { Runnable, RunnableConfig } from "@langchain/core/runnables"
import type { FailureOverrides } from "../dispatch/failures/failure-handling.ts"
import type { BreakerOptions } from "../dispatch/health/circuit-breaker.ts"
import type { HealthBook } from "../dispatch/health/health-book.ts"
import type { RetryBudget } from "../dispatch/retry-budget.ts"
import type { Attempt } from "../spec/dispatch.ts"
import type { Tier } from "../spec/request.ts"

/** One thing that can answer. */
export interface FallbackLink<Input, Output, Asked = Runnable<Input, Output>> {
  readonly tier: Tier
  /** Unique in the chain, and its key in the health book. Default: the tier, with a number if it has several links. */
  readonly id?: string | undefined
  readonly runnable: Asked
  /**
   * Whether each answer of its chat model says why it ended (`finish_reason`); one that does not was cut off. Default: true for
   * the packages of OpenAI, Anthropic and Ollama; for others once an answer has said it.
   */
  readonly reportsFinishReason?: boolean | undefined
}

export interface FallbackSettings {
  /** Links tried after the first one failed. Default: all of them. */
  readonly maxFallbackAttempts?: number | undefined
  /** Tries at the same link after the first, where a pause may heal. Default 2; a call's own `maxRetries` wins. */
  readonly maxRetries?: number | undefined
  /** First retry pause, ms; doubles each time, full jitter. Default 250. */
  readonly retryBaseMs?: number | undefined
  /** Until the first piece of one try's answer, ms; then the next link is asked. Default: no limit. */
  readonly attemptTimeoutMs?: number | undefined
  /** Between two pieces of a stream that has begun, ms; then it counts as broken off. Default: no limit. */
  readonly stallTimeoutMs?: number | undefined
  /** What a whole call may take, ms, with all its attempts; then DeadlineExceededError. Default: no limit. */
  readonly deadlineMs?: number | undefined
  /**
   * When no link is asked any more that keeps failing. Default: after 5 failures in a row, for 15 s, doubling up to 2 minutes;
   * then one call finds out. False: never. Of no effect beside `health`, whose book has its own.
   */
  readonly circuitBreaker?: BreakerOptions | false | undefined
  /**
   * What is known of who is broken or asked for a pause, by the links' ids, shared with other chains, routers or processes:
   * a link and a deployment of the same id are one to it. Default: its own.
   */
  readonly health?: HealthBook | undefined
  /** What retries may add to the load. Default: one budget for the whole process, a tenth of its calls. */
  readonly retryBudget?: RetryBudget | undefined
  /** Other answers to kinds of failure than `FAILURE_HANDLING` has, e.g. `{ "rate-limited": { coolDownMs: 5_000 } }`. */
  readonly failureHandling?: FailureOverrides | undefined
  /** Epoch ms. Default `Date.now`. */
  readonly now?: (() => number) | undefined
  /** In [0, 1). Default `Math.random`. */
  readonly random?: (() => number) | undefined
}

export interface FallbackChainFields<Input, Output, Asked = Runnable<Input, Output>>
  extends FallbackSettings {
  /** Weakest tier first. */
  readonly links: readonly FallbackLink<Input, Output, Asked>[]
}

export interface FallbackOptions extends RunnableConfig {
  /** Asked first; then the tiers above it, then those below, nearest first. Default: the first link's. */
  preferredTier?: Tier | undefined
  /** Tries at one link after the first, for this call. The links themselves never retry on their own. */
  maxRetries?: number
  /** What the whole call may take, ms, with all its attempts. Default: the chain's `deadlineMs`. */
  deadlineMs?: number | undefined
}

/** Everything a chat model takes per call, and whatever the providers' packages take. */
export interface FallbackChatOptions extends BaseChatModelCallOptions {
  /** Asked first; then the tiers above it, then those below, nearest first. Default: the first link's. */
  preferredTier?: Tier | undefined
  /** What the whole call may take, ms, with all its attempts. Default: the chain's `deadlineMs`. */
  deadlineMs?: number | undefined
  /** Any form LangChain accepts; bound by each link in its provider's own form. */
  tools?: BindToolsInput[] | undefined
  /** OpenAI's. */
  response_format?: unknown
  /** Strict tool calling and strict schemas, where the provider has them. */
  strict?: boolean | undefined
  /** False: one tool call at a time, where the provider has the choice. */
  parallel_tool_calls?: boolean | undefined
  /** Whatever else a link's package takes per call, e.g. `{ reasoning_effort: "low" }`. */
  providerOptions?: Readonly<Record<string, unknown>> | undefined
}

/** The answer, and who really gave it. */
export interface FallbackAnswer<Output> {
  readonly output: Output
  readonly answeredBy: { readonly deploymentId: string; readonly tier: Tier }
  readonly attempts: readonly Attempt[]
}
