import type { BaseCache } from "@langchain/core/caches"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { PressureOptions } from "../budget/pressure.ts"
import type { CacheRules } from "../cache/cache-key.ts"
import type { FailureOverrides } from "../dispatch/failures/failure-handling.ts"
import type { BreakerOptions } from "../dispatch/health/circuit-breaker.ts"
import type { HealthBook } from "../dispatch/health/health-book.ts"
import type { RetryBudget } from "../dispatch/retry-budget.ts"
import type { TaskRule } from "../policy/threshold-policy.ts"
import type { CandidateOrder } from "../pricing/order.ts"
import type { MediaTokens, QuoteInput } from "../pricing/quote.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { DeploymentProfile, Price } from "../spec/catalog.ts"
import type { Estimator } from "../spec/complexity.ts"
import type { HeaderSource } from "../spec/headers.ts"
import type { RoutingPolicy } from "../spec/policy.ts"
import type { Gate, MidStream, Tier } from "../spec/request.ts"
import type { RouteObserver } from "../spec/telemetry.ts"
import type { TrafficLimit } from "../spec/traffic.ts"
import type { ResponseValidator } from "../spec/validation.ts"
import type { WhenRefused } from "./router-parts.ts"

/** One model the router may call. */
export interface DeploymentOptions {
  /** Unique in the router. Default: `tier/model-name`. */
  readonly id?: string | undefined
  readonly tier: Tier
  readonly model: BaseChatModel
  /** What it charges. There is no default: say `"free"` if it is. */
  readonly price: Price
  /** What it can do; completes and overrides the model's own `profile`. What is not known to be true excludes. */
  readonly profile?: DeploymentProfile | undefined
  /** Output cap in tokens for calls that name none. Default: the model's own `maxTokens`, else the router's. */
  readonly maxOutputTokens?: number | undefined
  readonly version?: string | undefined
  /** Facts a call may ask for, e.g. `{ region: "eu" }`. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** How much it may be asked; who has no more room is skipped. Default: as much as its provider's headers say. */
  readonly limits?: TrafficLimit | undefined
  /**
   * Where it is heard what its provider's answers say of its limits: `responseHeaders()`, whose `fetch` the model's package
   * calls. A router with one cannot be written down as JSON. Default: its limits are learnt from refusals alone.
   */
  readonly headers?: HeaderSource | undefined
  /** Share of the calls among equals, ≥ 0. Default 1. */
  readonly weight?: number | undefined
  /** If given, only these tenants may use it. */
  readonly tenants?: readonly string[] | undefined
  /**
   * Whether each of its answers says why it ended (`finish_reason`); one that does not was cut off. Default: true for the
   * packages of OpenAI, Anthropic and Ollama; for others once an answer has said it.
   */
  readonly reportsFinishReason?: boolean | undefined
  /** GPU memory in GB, for reports on self-hosted models. */
  readonly gpuMemoryGb?: number | undefined
}

/** What a call does when its budget runs low, and when it has run out. A downgrade is always on the record. */
export interface UnderPressure extends PressureOptions {
  /**
   * When the budget refuses everybody of the decided tier and those above. `block` (default): BudgetExceededError.
   * `downgrade`: weaker tiers are asked, down to the decision's floor, but never in the middle of a tool loop. A function is
   * asked each time; `ask-again` asks the budget again, e.g. after somebody has raised the limit.
   */
  readonly whenRefused?: WhenRefused | undefined
}

/** Cheap calls that find out who is well before a caller has to. */
export interface ProbeSettings {
  /** How often it is looked who has had no call lately or has an open circuit, ms, give or take a tenth. */
  readonly everyMs: number
  /** How long an answer may take, ms. Default 10,000. */
  readonly timeoutMs?: number | undefined
  /** What is asked. Default `Hi`. */
  readonly ask?: string | undefined
  /** Output cap in tokens, for models that refuse a cap of 1. Default 1. */
  readonly maxOutputTokens?: number | undefined
}

export interface HedgeSettings {
  /** How slow, ms. Default: slower than 19 of 20 answers of the same deployment began, once 20 have been seen. */
  readonly afterMs?: number | undefined
  /** Of the calls, 0 … 1. Default 0.05. */
  readonly share?: number | undefined
}

export interface WaitingLineSettings {
  /** Calls that wait at most; beyond it the least urgent is refused. Default 100. */
  readonly longest?: number | undefined
  /** How long each waits at most, ms. Default 10,000. */
  readonly timeoutMs?: number | undefined
}

export interface RouterOptions {
  /** At least one for every tier. */
  readonly deployments: readonly DeploymentOptions[]
  /** Cheapest first. Default `["light", "standard", "heavy"]`. */
  readonly tiers?: readonly Tier[] | undefined
  /** Scores between the tiers, rising. Default 0.3 and 0.7 for three tiers, even steps otherwise. */
  readonly thresholds?: readonly number[] | undefined
  /** Task type → tier, or bounds for the estimate. Default: `DEFAULT_TASK_RULES`. */
  readonly taskTypes?: Readonly<Record<string, TaskRule>> | undefined
  /** 0 cheapest … 1 best; shifts the thresholds. Default 0.5. */
  readonly preference?: number | undefined
  /** Replaces thresholds, task types and preference. */
  readonly policy?: RoutingPolicy | undefined
  /** How hard is it? Default `fiveFactor()`. */
  readonly estimator?: Estimator | undefined
  /** False: every call without a pin goes to the default tier, or the nearest its agent's spec allows. Default true. */
  readonly routing?: boolean | undefined
  /** Answers when the estimate or the policy fails, and when routing is off. Default: the middle tier. */
  readonly defaultTier?: Tier | undefined
  /**
   * When nobody is called any more who keeps failing. Default: after 5 failures in a row, for 15 s, doubling up to 2 minutes;
   * then one call finds out. False: never.
   */
  readonly circuitBreaker?: BreakerOptions | false | undefined
  /** What is known of who is broken or asked for a pause, shared with other routers or processes. Default: its own. */
  readonly health?: HealthBook | undefined
  /** Asks deployments of which nothing was heard lately whether they are well. Default: nobody is asked. */
  readonly probes?: ProbeSettings | undefined
  /**
   * Asks each deployment once as soon as the router is made, and whoever comes later when it comes, so that the first call
   * finds its connections open and its model loaded; `ready()` waits for it. Default false.
   */
  readonly warmUp?: boolean | undefined
  /**
   * Asks a second candidate beside one that is slow to begin; who begins first answers, the other is cancelled and its money
   * settled. Not for calls whose words are read along by handlers. Default: never.
   */
  readonly hedge?: HedgeSettings | undefined
  /** Where calls wait when everybody who could answer is saturated. Default: nowhere, they are refused at once. */
  readonly waitingLine?: WaitingLineSettings | undefined
  /** Who is asked first among those who can. Default `cheapest`. */
  readonly order?: CandidateOrder | undefined
  /** Money and tokens are held here before each call. Default: no limit. */
  readonly budget?: BudgetStore | undefined
  /** When calls go to weaker tiers for the sake of the budget. Default: never. */
  readonly underPressure?: UnderPressure | undefined
  /**
   * Name of a header under which every request to a provider carries its hold's id, so that invoices can be matched with the
   * ledger: `x-client-request-id` is OpenAI's. For packages that can send one per call (OpenAI, Anthropic). Default: none.
   */
  readonly requestIdHeader?: string | undefined
  /** How the input of a quote is bounded. Default `upper-bound`. */
  readonly quoteInput?: QuoteInput | undefined
  /** The most tokens one picture, clip or file is billed as. */
  readonly mediaTokens?: { readonly [Kind in keyof MediaTokens]?: number | undefined } | undefined
  /** Output cap in tokens for calls and deployments that name none. Default 4,096. */
  readonly maxOutputTokens?: number | undefined
  /** Good enough? Default: not empty, and follows the schema if one is asked for. */
  readonly validator?: ResponseValidator | undefined
  /**
   * What is done with the words of an answer that a stronger tier may still replace, in streams and for handlers that read
   * along. `full` holds them back until the answer has been judged: its first token comes with its last. `off` shows them
   * at once, and what has been shown is not replaced. The last tier's answers are never held back. Default: `full` with a
   * `validator` of your own and for calls that want a schema, else `off`.
   */
  readonly gate?: Gate | undefined
  /**
   * Answers that were given before: any of LangChain's caches, e.g. `keyvCache(new Keyv())`; `true` for LangChain's own in
   * memory. A hit bypasses routing and budget, and never crosses tenants. Default: none.
   */
  readonly cache?: BaseCache | boolean | undefined
  readonly cacheRules?: CacheRules | undefined
  readonly observers?: readonly RouteObserver[] | undefined
  /** Candidates tried after the first one failed. Default 2 (row A1). */
  readonly maxFallbackAttempts?: number | undefined
  /** Tries at the same candidate after the first, where a pause may heal. Default 2. */
  readonly maxRetries?: number | undefined
  /** First retry pause, ms; doubles each time, full jitter. Default 250. */
  readonly retryBaseMs?: number | undefined
  /** Until the first piece of one try's answer, ms; then the next candidate is asked. Default: no limit. */
  readonly attemptTimeoutMs?: number | undefined
  /** Between two pieces of a stream that has begun, ms; then it counts as broken off. Default: no limit. */
  readonly stallTimeoutMs?: number | undefined
  /** What a whole call may take, ms, with all its attempts; then DeadlineExceededError. Default: no limit. */
  readonly deadlineMs?: number | undefined
  /** When a stream breaks off in the middle. Default `error`. */
  readonly midStream?: MidStream | undefined
  /** What retries may add to the load. Default: one budget for the whole process, a tenth of its calls. */
  readonly retryBudget?: RetryBudget | undefined
  /** Other answers to kinds of failure than `FAILURE_HANDLING` has, e.g. `{ "rate-limited": { coolDownMs: 5_000 } }`. */
  readonly failureHandling?: FailureOverrides | undefined
  /** Epoch ms. Default `Date.now`. */
  readonly now?: (() => number) | undefined
  /** In [0, 1). Default `Math.random`. */
  readonly random?: (() => number) | undefined
  /** Ids of records. Default: random UUIDs. */
  readonly newId?: (() => string) | undefined
}

/** Options that are data: a router made of nothing else can be written down as JSON and loaded again. */
export const DATA_OPTIONS: ReadonlySet<string> = new Set([
  "deployments",
  "tiers",
  "thresholds",
  "taskTypes",
  "preference",
  "routing",
  "defaultTier",
  "order",
  "requestIdHeader",
  "quoteInput",
  "mediaTokens",
  "maxOutputTokens",
  "gate",
  "maxFallbackAttempts",
  "maxRetries",
  "retryBaseMs",
  "attemptTimeoutMs",
  "stallTimeoutMs",
  "deadlineMs",
  "midStream",
  "failureHandling",
  "circuitBreaker",
  "probes",
  "warmUp",
  "waitingLine",
  "hedge",
] satisfies (keyof RouterOptions)[])
