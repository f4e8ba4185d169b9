import type { PressureGauge } from "../budget/pressure.ts"
import type { CacheRules } from "../cache/cache-key.ts"
import type { ResponseCache } from "../cache/response-cache.ts"
import type { AfterRefusal, DispatchSettings, Refused } from "../dispatch/dispatch-options.ts"
import type { ToolSizes } from "../features/tool-size.ts"
import type { FinishReasons } from "../langchain/finish-reason.ts"
import type { OutputLimiter } from "../langchain/limit-output.ts"
import type { CandidateOrder } from "../pricing/order.ts"
import type { MediaTokens, QuoteInput } from "../pricing/quote.ts"
import type { Rates } from "../pricing/rates.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { Deployment } from "../spec/catalog.ts"
import type { Estimator } from "../spec/complexity.ts"
import type { RoutingPolicy } from "../spec/policy.ts"
import type { Gate, MidStream, Scopes, Tier } from "../spec/request.ts"
import type { RouteObserver } from "../spec/telemetry.ts"
import type { ResponseValidator } from "../spec/validation.ts"
import type { LooseEnds } from "./loose-ends.ts"
import type { Baseline } from "./tier-costs.ts"
import type { Traffic } from "./traffic.ts"

/** What follows when the budget has refused everybody who should answer. */
export type WhenRefused = AfterRefusal | ((question: RefusalQuestion) => AfterRefusal | Promise<AfterRefusal>)

/** What a callback is asked when the budget refuses. */
export interface RefusalQuestion extends Refused {
  /** Of the call's record. */
  readonly id: string
  readonly scopes: Scopes
  /** The tier that was decided. */
  readonly tier: Tier
  /** False where `downgrade` would change nothing: there is no weaker tier that may answer. */
  readonly canDowngrade: boolean
}

/**
 * The deployments that take new calls, and all that follows from who they are. It never changes: whoever comes or goes makes
 * a new one, and a call keeps the one it began with.
 */
export interface Lineup {
  readonly deployments: readonly Deployment[]
  readonly ratesOf: (deployment: Deployment) => Rates
  /** Every tier's first deployment, cheapest tier first: what savings are measured against. */
  readonly baselines: readonly Baseline[]
  /** Names of all that answers here: what a cached answer depends on. */
  readonly identity: string
  /** Undefined: no answer is given twice. */
  readonly cache: ResponseCache | undefined
  readonly traffic: Traffic
}

/** Everything the hall walks through, checked and with every default filled in. */
export interface RouterParts extends Lineup {
  /** Cheapest first. */
  readonly tiers: readonly Tier[]
  /** False: the default tier answers everything. */
  readonly routing: boolean
  readonly defaultTier: Tier
  readonly estimator: Estimator
  readonly policy: RoutingPolicy
  readonly order: CandidateOrder
  readonly quoteInput: QuoteInput
  readonly mediaTokens: MediaTokens
  /** Output cap in tokens for calls that name none. */
  readonly maxOutputTokens: number
  readonly limitOutput: OutputLimiter
  /** Tool definitions are measured once. */
  readonly toolSizes: ToolSizes
  readonly budget: BudgetStore | undefined
  /** What goes on for calls that have gone. */
  readonly looseEnds: LooseEnds
  /** Undefined: the budget is not asked before it is held in. */
  readonly pressure: PressureGauge | undefined
  readonly whenRefused: WhenRefused
  /** Of the provider calls' requests; undefined: none. */
  readonly requestIdHeader: string | undefined
  readonly validator: ResponseValidator
  /** For calls that name none; undefined: by what the call wants. */
  readonly gate: Gate | undefined
  readonly cacheRules: CacheRules | undefined
  readonly observers: readonly RouteObserver[]
  readonly dispatch: DispatchSettings
  /** What a whole call may take, ms. Undefined: whatever it takes. */
  readonly deadlineMs: number | undefined
  readonly midStream: MidStream
  readonly finishReasons: FinishReasons
  readonly newId: () => string
}
