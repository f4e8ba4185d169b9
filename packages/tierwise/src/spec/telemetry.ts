import type { Exclusion } from "./catalog.ts"
import type { ComplexityEstimate } from "./complexity.ts"
import type { Attempt, FailureKind } from "./dispatch.ts"
import type { Amount, NanoUsd } from "./money.ts"
import type { RoutingDecision, Snapshot } from "./policy.ts"
import type { RequestFeatures, Scopes, Tier } from "./request.ts"
import type { Verdict } from "./validation.ts"

export interface PlannedCandidate {
  readonly deploymentId: string
  readonly tier: Tier
  readonly quote: Amount
  readonly maxOutputTokens: number
}

/** Something that went wrong inside the router and did not stop it. */
export interface Problem {
  readonly room: "complexity" | "policy" | "budget" | "dispatch" | "validation"
  readonly error: string
}

/** What the router would do, and why. Plain JSON: `explain` returns it, every record holds it. */
export interface Plan {
  readonly features: RequestFeatures
  readonly estimator: string
  /** Undefined if the estimator failed or routing is off. */
  readonly estimate: ComplexityEstimate | undefined
  readonly decision: RoutingDecision
  /** In the order in which they would be called. Empty: nobody can take this request. */
  readonly candidates: readonly PlannedCandidate[]
  readonly excluded: readonly Exclusion[]
  readonly problems: readonly Problem[]
}

/** An answer that broke off after its reader had words of it, and what was done about it. */
export interface Recovery {
  /** Whose answer broke off. */
  readonly deploymentId: string
  readonly failure: FailureKind
  readonly how: "restarted" | "continued"
}

export interface JudgedAnswer {
  readonly deploymentId: string
  readonly tier: Tier
  readonly verdict: Verdict
}

/** What the returned answer's tokens would have taken at one tier's first deployment. */
export interface TierCost {
  readonly tier: Tier
  readonly deploymentId: string
  readonly cost: NanoUsd
  /** GPU time, seconds. Undefined where nobody can tell: a deployment that is not self-hosted, or gives no figures. */
  readonly gpuSeconds?: number | undefined
}

/** The whole story of one request: what telemetry, headers, logs, replay and the tests read. Plain JSON. */
export interface RouteRecord {
  readonly id: string
  /** Epoch ms. */
  readonly at: number
  readonly durationMs: number
  readonly scopes: Scopes
  readonly taskType: string | undefined
  readonly streamed: boolean
  readonly snapshot: Snapshot
  readonly plan: Plan
  /** The plan's decision, then one more for every escalation, and for every downgrade after a refusal. */
  readonly decisions: readonly RoutingDecision[]
  readonly attempts: readonly Attempt[]
  readonly verdicts: readonly JudgedAnswer[]
  /** Answers that broke off in the middle, and were begun anew or gone on with. */
  readonly recoveries: readonly Recovery[]
  /** The deployment whose answer was returned; undefined when there was none. */
  readonly answeredBy: { readonly deploymentId: string; readonly tier: Tier } | undefined
  /** Everything that was spent, over all attempts. */
  readonly cost: NanoUsd
  /** What the returned answer's tokens would have cost at the top tier's first deployment. */
  readonly baselineCost: NanoUsd
  /**
   * The same in every tier, cheapest tier first. As many tokens are taken to be cached everywhere as were where it was
   * answered. Empty: no answer was returned, or its tokens cannot be priced.
   */
  readonly tierCosts: readonly TierCost[]
  /** GPU time of all attempts together, seconds. Undefined if nobody can tell for any one of them. */
  readonly gpuSeconds?: number | undefined
  readonly problems: readonly Problem[]
  /** The error's message when the request failed. */
  readonly error: string | undefined
}

export type RouteEvent =
  | { readonly type: "plan-made"; readonly id: string; readonly plan: Plan }
  | {
      readonly type: "attempt-started"
      readonly id: string
      readonly deploymentId: string
      readonly tier: Tier
    }
  | { readonly type: "attempt-ended"; readonly id: string; readonly attempt: Attempt }
  | { readonly type: "answer-judged"; readonly id: string; readonly judged: JudgedAnswer }
  | { readonly type: "tier-escalated"; readonly id: string; readonly decision: RoutingDecision }
  /** The budget refused everybody who should have answered, and weaker tiers are asked. */
  | { readonly type: "tier-downgraded"; readonly id: string; readonly decision: RoutingDecision }
  /** A stream broke off in the middle, and goes on from another deployment. */
  | { readonly type: "stream-recovered"; readonly id: string; readonly recovery: Recovery }
  | { readonly type: "request-ended"; readonly id: string; readonly record: RouteRecord }
  /** A call that the cache answered. It has no record: nothing was decided, held or called. */
  | {
      readonly type: "answer-recalled"
      /** Of the record in which the answer was made. */
      readonly id: string
      /** Epoch ms. */
      readonly at: number
      readonly scopes: Scopes
      /** Who gave the answer, when it was made. */
      readonly deploymentId: string
      readonly tier: Tier
    }
  /** The cache's store failed. Its calls were answered all the same. */
  | { readonly type: "cache-failed"; readonly error: string }
  /** A model registry is away, its document was refused, or cannot be kept. Deployments stay as they are. */
  | { readonly type: "registry-failed"; readonly error: string }

/** Who wants to know? An observer that throws changes nothing. */
export interface RouteObserver {
  on(event: RouteEvent): void
}
