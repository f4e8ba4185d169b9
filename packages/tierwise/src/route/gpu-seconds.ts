import type { Deployment } from "../spec/catalog.ts"
import type { Attempt } from "../spec/dispatch.ts"
import { type NanoUsd, nanoToUsd } from "../spec/money.ts"

/** Some tokens: what they cost at a deployment, and how long they took where they were made. */
export interface GpuWork {
  /** At the deployment whose GPU time is asked for. */
  readonly cost: NanoUsd
  readonly measuredAt: Deployment | undefined
  readonly measuredMs: number
}

/**
 * How long a GPU works for these tokens at `deployment`, seconds.
 * - Priced by GPU second: what they cost ÷ what a second costs.
 * - Priced by cost weight, with its `gpuMemoryGb` stated: as long as the call took where it was made × the ratio of the
 *   two cost weights, since weights stand for machine time. It is wall-clock time, queue and network included, so that it
 *   is rather too long than too short.
 * - Otherwise undefined: somebody else's GPU, or none.
 */
export function gpuSecondsAt(
  { price, gpuMemoryGb }: Deployment,
  { cost, measuredAt, measuredMs }: GpuWork,
): number | undefined {
  if (typeof price === "object" && "perGpuSecond" in price) return nanoToUsd(cost) / price.perGpuSecond
  const weight = gpuMemoryGb === undefined ? undefined : weightOf(price)
  const measuredWeight = measuredAt?.gpuMemoryGb === undefined ? undefined : weightOf(measuredAt.price)
  if (weight === undefined || measuredWeight === undefined) return undefined
  return (measuredMs / 1_000) * (weight / measuredWeight)
}

/**
 * Over all attempts that made or read tokens; one that failed before it did took no GPU that anybody knows of. Undefined if
 * there is none, or if it cannot be told for one of them.
 */
export function gpuSecondsOf(
  attempts: readonly Attempt[],
  deployments: readonly Deployment[],
): number | undefined {
  let sum: number | undefined
  for (const attempt of attempts) {
    if (attempt.outcome === "skipped" || attempt.usage === undefined) continue
    const deployment = deployments.find(({ id }) => id === attempt.deploymentId)
    const work = { cost: attempt.cost, measuredAt: deployment, measuredMs: attempt.durationMs }
    const seconds = deployment && gpuSecondsAt(deployment, work)
    if (seconds === undefined) return undefined
    sum = (sum ?? 0) + seconds
  }
  return sum
}

function weightOf(price: Deployment["price"]): number | undefined {
  return typeof price === "object" && "costWeight" in price ? price.costWeight : undefined
}
