import type { ComplexityEstimate } from "./complexity.ts"
import type { RequestFeatures, RouteRequest, Tier } from "./request.ts"

/** Everything about the world that may change a plan, read once per request and kept on its record. */
export interface Snapshot {
  /** When the request was planned, ms since the epoch. */
  readonly at: number
  /** One draw in [0, 1) for everything in the plan that is left to chance (weights). */
  readonly draw: number
  /** Ids of deployments, who is to be asked first among equals in front. Undefined: `draw` says. */
  readonly ranking?: readonly string[] | undefined
  /** Undefined: no budget presses, or none is asked. */
  readonly pressure?: BudgetPressure | undefined
}

/** How far down the budgets of a call want it to go. */
export interface BudgetPressure {
  /** Tiers; 0: the budget could not be asked. */
  readonly tiersDown: number
  /** One line for people. */
  readonly because: string
}

export type DecisionReason =
  | "estimated"
  | "task-type"
  | "pinned"
  | "bounded"
  | "escalated"
  | "downgraded"
  | "off"
  | "default"

export interface RoutingDecision {
  readonly tier: Tier
  readonly reason: DecisionReason
  /** One line for people, e.g. `score 0.42 is in [0.30, 0.70)`. */
  readonly because: string
  /** No deployment below this tier may answer. */
  readonly floor: Tier
  /** No deployment above this tier may answer, not even by escalation or fallback. */
  readonly ceiling: Tier
}

export interface PolicyInput {
  readonly features: RequestFeatures
  /** Undefined when the estimator failed. */
  readonly estimate: ComplexityEstimate | undefined
  readonly request: RouteRequest
  readonly snapshot: Snapshot
  /** All tiers, cheapest first. */
  readonly tiers: readonly Tier[]
}

/** Which tier should answer? Pure. May throw; the default tier answers then. */
export interface RoutingPolicy {
  decide(input: PolicyInput): RoutingDecision
}
