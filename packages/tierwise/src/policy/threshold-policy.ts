import { ConfigError } from "../spec/errors.ts"
import type { DecisionReason, PolicyInput, RoutingDecision, RoutingPolicy } from "../spec/policy.ts"
import type { Tier } from "../spec/request.ts"
import { type Bounds, boundsOf, clampTier } from "./bounds.ts"
import { tierForScore, validThresholds } from "./thresholds.ts"

/**
 * What a task type means for the tier. A plain tier is both the choice and the floor: a security analysis is never
 * answered below heavy. An object lets the estimate choose inside the bounds.
 */
export type TaskRule = Tier | { readonly floor?: Tier | undefined; readonly ceiling?: Tier | undefined }

export interface ThresholdPolicyOptions {
  /** All tiers, cheapest first. */
  readonly tiers: readonly Tier[]
  /** Default: 0.3 and 0.7 for three tiers (row E2), even steps otherwise. */
  readonly thresholds?: readonly number[] | undefined
  /** Default: `DEFAULT_TASK_RULES` where their tiers exist. */
  readonly taskTypes?: Readonly<Record<string, TaskRule>> | undefined
  /** Used for calls that name none: 0 cheapest … 1 best. Default 0.5, the thresholds as they are. */
  readonly preference?: number | undefined
}

/** Row E3. */
export const DEFAULT_TASK_RULES: Readonly<Record<string, TaskRule>> = {
  intent_classification: "light",
  pii_detection: "light",
  simple_qa: "light",
  agent_execution: "standard",
  skill_invocation: "standard",
  thinking: "heavy",
  security_analysis: "heavy",
  architecture_design: "heavy",
}

/**
 * The default policy: a pin, then the task type, then the score against thresholds, all inside the bounds that the
 * agent's spec sets. Pure.
 * @throws ConfigError for thresholds that overlap, an unknown tier in a rule, or a preference outside 0…1.
 */
export function thresholdPolicy(options: ThresholdPolicyOptions): RoutingPolicy {
  const { tiers } = options
  const thresholds = validThresholds(tiers, options.thresholds)
  const rules = validRules(options.taskTypes, tiers)
  const preference = validPreference(options.preference ?? 0.5)

  return {
    decide({ features, estimate, request }: PolicyInput): RoutingDecision {
      if (request.tier !== undefined) {
        return decision(request.tier, "pinned", "the call names this tier", only(request.tier))
      }
      const bounds = boundsOf(request.agentSpec, tiers)
      if (request.agentSpec !== undefined && bounds.floor === bounds.ceiling) {
        return decision(bounds.floor, "pinned", "the agent's spec allows this tier only", bounds)
      }
      const rule = features.taskType === undefined ? undefined : rules[features.taskType]
      if (typeof rule === "string") {
        const tier = clampTier(rule, bounds, tiers)
        const because = `task type "${features.taskType}" means ${rule}`
        return decision(tier, "task-type", because, { ...bounds, floor: tier })
      }
      if (estimate === undefined) throw new Error("there is no estimate to decide by")
      const shifted = thresholds.map((threshold) => shift(threshold, request.preference ?? preference))
      const wanted = tierForScore(estimate.score, tiers, shifted)
      const inside = narrow(bounds, rule, tiers)
      const tier = clampTier(wanted, inside, tiers)
      const because = `score ${estimate.score.toFixed(2)} is in ${range(wanted, tiers, shifted)}, which is ${wanted}`
      if (tier === wanted) return decision(tier, "estimated", because, inside)
      const bound: DecisionReason = rule === undefined ? "bounded" : "task-type"
      return decision(
        tier,
        bound,
        `${because}, but only ${inside.floor} to ${inside.ceiling} may answer`,
        inside,
      )
    },
  }
}

function decision(
  tier: Tier,
  reason: DecisionReason,
  because: string,
  { floor, ceiling }: Bounds,
): RoutingDecision {
  return { tier, reason, because, floor, ceiling }
}

function only(tier: Tier): Bounds {
  return { floor: tier, ceiling: tier }
}

/** A task rule's bounds inside the agent's; where they contradict, the agent's spec wins. */
function narrow(bounds: Bounds, rule: Exclude<TaskRule, Tier> | undefined, tiers: readonly Tier[]): Bounds {
  if (rule === undefined) return bounds
  return {
    floor: clampTier(rule.floor ?? bounds.floor, bounds, tiers),
    ceiling: clampTier(rule.ceiling ?? bounds.ceiling, bounds, tiers),
  }
}

/**
 * Moves a threshold with the preference: at 0.5 it stays, at 1 it is 0 (everything to the top tier), at 0 it is
 * beyond any score (everything to the first); linear between, so thresholds never cross.
 */
function shift(threshold: number, preference: number): number {
  const beyond = 1 + 1e-9
  return preference <= 0.5
    ? threshold + (beyond - threshold) * (1 - 2 * preference)
    : threshold * 2 * (1 - preference)
}

function range(tier: Tier, tiers: readonly Tier[], thresholds: readonly number[]): string {
  const rung = tiers.indexOf(tier)
  const from = thresholds[rung - 1] ?? 0
  const to = thresholds[rung] ?? 1
  return `${from.toFixed(2)}–${Math.min(to, 1).toFixed(2)}`
}

function validPreference(preference: number): number {
  if (preference >= 0 && preference <= 1) return preference
  throw new ConfigError("preference", `${preference} is not between 0 and 1`, "give 0 (cheap) to 1 (good)")
}

function validRules(
  given: Readonly<Record<string, TaskRule>> | undefined,
  tiers: readonly Tier[],
): Readonly<Record<string, TaskRule>> {
  if (given === undefined) {
    const known = Object.entries(DEFAULT_TASK_RULES).filter(([, rule]) => tiers.includes(rule as Tier))
    return Object.fromEntries(known)
  }
  for (const [taskType, rule] of Object.entries(given)) {
    const named: Readonly<Record<string, Tier | undefined>> = typeof rule === "string" ? { tier: rule } : rule
    for (const [field, tier] of Object.entries(named)) {
      if (tier === undefined || tiers.includes(tier)) continue
      const path = `taskTypes.${taskType}${field === "tier" ? "" : `.${field}`}`
      throw new ConfigError(path, `"${tier}" is not a tier`, `use one of ${tiers.join(", ")}`)
    }
    if (typeof rule === "object" && rule.floor !== undefined && rule.ceiling !== undefined) {
      if (tiers.indexOf(rule.floor) > tiers.indexOf(rule.ceiling)) {
        const problem = `the floor "${rule.floor}" is above the ceiling "${rule.ceiling}"`
        throw new ConfigError(`taskTypes.${taskType}`, problem, "swap them")
      }
    }
  }
  return given
}
