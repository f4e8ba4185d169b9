import type { Candidate } from "../spec/catalog.ts"
import type { Tier } from "../spec/request.ts"
import type { BalanceKind } from "../spec/traffic.ts"

/**
 * Who is called first.
 * - `cheapest` (default): by price for the same work, over the decided tier and the tiers above it, so that a stronger
 *   model that undercuts a weaker one is used (row C2); equal prices: the lower tier first, then by weight.
 * - `weighted`: within a tier by weight, tiers nearest first; for spreading calls over equals.
 * - `round-robin`, `least-in-flight`, `lowest-latency`: within a tier as the snapshot ranks them, tiers nearest first.
 *
 * Tiers below the decided one come last in both, nearest first: they answer only when nobody else could.
 */
export type CandidateOrder = BalanceKind

export interface OrderOptions {
  readonly order: CandidateOrder
  /** The price of the same work for each, so that a short output cap does not pass for a low price. */
  readonly priceOf: (candidate: Candidate) => number
  readonly decided: Tier
  /** All tiers, cheapest first. */
  readonly tiers: readonly Tier[]
  /** One draw in [0, 1) from the snapshot. */
  readonly draw: number
  /** Ids of deployments from the snapshot; undefined: equals are ordered by weight and draw. */
  readonly ranking?: readonly string[] | undefined
}

export function orderCandidates(
  candidates: readonly Candidate[],
  options: OrderOptions,
): readonly Candidate[] {
  if (candidates.length < 2) return candidates
  const { tiers, decided, order, priceOf } = options
  const rung = new Map(tiers.map((tier, index) => [tier, index]))
  const from = rung.get(decided) ?? 0
  const steps = (candidate: Candidate) => (rung.get(candidate.deployment.tier) ?? 0) - from
  const shuffled = options.ranking
    ? ranked(candidates, options.ranking)
    : weightedShuffle(candidates, options.draw)
  const above = shuffled
    .filter((candidate) => steps(candidate) >= 0)
    .sort((a, b) => (order === "cheapest" ? priceOf(a) - priceOf(b) : 0) || steps(a) - steps(b))
  const below = shuffled.filter((candidate) => steps(candidate) < 0).sort((a, b) => steps(b) - steps(a))
  return [...above, ...below]
}

/** Who is not in the ranking comes last. */
function ranked(candidates: readonly Candidate[], ranking: readonly string[]): readonly Candidate[] {
  const place = new Map(ranking.map((id, index) => [id, index]))
  const placeOf = ({ deployment }: Candidate) => place.get(deployment.id) ?? ranking.length
  return [...candidates].sort((a, b) => placeOf(a) - placeOf(b))
}

/**
 * A random order drawn by weight, without replacement. One draw is enough: after each pick, what is left of it
 * inside the picked share is uniform again. Weight 0 comes last.
 */
function weightedShuffle(candidates: readonly Candidate[], draw: number): Candidate[] {
  const left = candidates.filter(({ deployment }) => deployment.weight > 0)
  const picked: Candidate[] = []
  let u = draw
  while (left.length > 0) {
    const total = left.reduce((sum, { deployment }) => sum + deployment.weight, 0)
    let target = u * total
    let index = 0
    while (index < left.length - 1 && target >= weightAt(left, index)) target -= weightAt(left, index++)
    u = Math.min(target / weightAt(left, index), 1 - Number.EPSILON)
    picked.push(...left.splice(index, 1))
  }
  return [...picked, ...candidates.filter(({ deployment }) => deployment.weight === 0)]
}

function weightAt(candidates: readonly Candidate[], index: number): number {
  return candidates[index]?.deployment.weight ?? 0
}
