import type { BudgetPressure, RoutingDecision } from "../spec/policy.ts"
import type { RequestFeatures, Tier } from "../spec/request.ts"

export interface DowngradeInput {
  readonly pressure: BudgetPressure | undefined
  readonly features: RequestFeatures
  /** All tiers, cheapest first. */
  readonly tiers: readonly Tier[]
}

/**
 * The decision, or a weaker one for the sake of the budget. Never below the decision's floor, and never in the middle of a
 * tool loop, where another model would have to go on with what it has not begun. The tier that was decided stays the
 * highest that may answer: a poor answer may escalate back to it, not beyond.
 */
export function downgrade(
  decision: RoutingDecision,
  { pressure, features, tiers }: DowngradeInput,
): RoutingDecision {
  if (pressure === undefined || features.toolResultsPending) return decision
  const rung = tiers.indexOf(decision.tier)
  const lowest = tiers.indexOf(decision.floor)
  const tier = tiers[Math.max(rung - pressure.tiersDown, lowest)]
  if (tier === undefined || tiers.indexOf(tier) >= rung) return decision
  return {
    tier,
    reason: "downgraded",
    because: `${pressure.because}; ${decision.because}`,
    floor: decision.floor,
    ceiling: decision.tier,
  }
}
