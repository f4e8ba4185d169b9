import type { AgentSpec, Tier } from "../spec/request.ts"

/** The tiers that may answer, both ends included. */
export interface Bounds {
  readonly floor: Tier
  readonly ceiling: Tier
}

/** The tiers an agent's spec allows; all of them without a spec. */
export function boundsOf(spec: AgentSpec | undefined, tiers: readonly Tier[]): Bounds {
  const all = { floor: tiers[0] as Tier, ceiling: tiers.at(-1) as Tier }
  if (spec === undefined) return all
  if ("tier" in spec) return { floor: spec.tier, ceiling: spec.tier }
  return { floor: spec.minTier ?? all.floor, ceiling: spec.maxTier ?? all.ceiling }
}

/** `tier`, or the bound it lies beyond. */
export function clampTier(tier: Tier, { floor, ceiling }: Bounds, tiers: readonly Tier[]): Tier {
  const rung = tiers.indexOf(tier)
  if (rung < tiers.indexOf(floor)) return floor
  return rung > tiers.indexOf(ceiling) ? ceiling : tier
}
