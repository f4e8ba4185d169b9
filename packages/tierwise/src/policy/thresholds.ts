import { ConfigError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"

/** Row E2: light 0.0–0.3, standard 0.3–0.7, heavy 0.7–1.0. */
const THREE_TIER_THRESHOLDS: readonly number[] = [0.3, 0.7]

/** The tier a score belongs to. A threshold belongs to the tier above it: 0.3 is standard, not light. */
export function tierForScore(score: number, tiers: readonly Tier[], thresholds: readonly number[]): Tier {
  const rung = thresholds.findIndex((threshold) => score < threshold)
  const tier = tiers[rung === -1 ? tiers.length - 1 : rung]
  if (tier === undefined) throw new ConfigError("tiers", "the list is empty", "name at least one tier")
  return tier
}

/**
 * The thresholds between the tiers, checked. Default: 0.3 and 0.7 for three tiers, even steps for any other number.
 * @throws ConfigError unless there is exactly one between each two tiers, each in (0, 1), each above the one before.
 */
export function validThresholds(
  tiers: readonly Tier[],
  thresholds: readonly number[] | undefined,
): readonly number[] {
  if (thresholds === undefined) {
    if (tiers.length === 3) return THREE_TIER_THRESHOLDS
    return tiers.slice(1).map((_, index) => (index + 1) / tiers.length)
  }
  if (thresholds.length !== tiers.length - 1) {
    throw new ConfigError(
      "thresholds",
      `${thresholds.length} given for ${tiers.length} tiers (${tiers.join(", ")})`,
      `give ${tiers.length - 1}: one between each two tiers`,
    )
  }
  thresholds.forEach((threshold, index) => {
    if (!(threshold > 0 && threshold < 1)) {
      throw new ConfigError(
        `thresholds[${index}]`,
        `${threshold} is not between 0 and 1`,
        "give a score in (0, 1)",
      )
    }
    const before = thresholds[index - 1]
    if (before !== undefined && threshold <= before) {
      throw new ConfigError(
        `thresholds[${index}]`,
        `${threshold} overlaps with ${before} before it, so ${tiers[index]} would never answer`,
        "list the thresholds in rising order",
      )
    }
  })
  return thresholds
}
