import { costOf } from "../pricing/cost.ts"
import type { Rates } from "../pricing/rates.ts"
import type { Deployment } from "../spec/catalog.ts"
import type { Attempt } from "../spec/dispatch.ts"
import type { TierCost } from "../spec/telemetry.ts"
import { gpuSecondsAt } from "./gpu-seconds.ts"

/** Whom an answer is compared with. */
export interface Baseline {
  readonly deployment: Deployment
  readonly rates: Rates
}

export type Answered = Extract<Attempt, { outcome: "answered" }>

/** What the answer's tokens take at each baseline. Empty without an answer, or if they cannot be priced everywhere. */
export function tierCostsOf(
  answer: Answered | undefined,
  baselines: readonly Baseline[],
  deployments: readonly Deployment[],
): readonly TierCost[] {
  if (answer === undefined) return []
  const answerer = deployments.find(({ id }) => id === answer.deploymentId)
  try {
    return baselines.map(({ deployment, rates }) => {
      const cost = costOf(answer.usage, rates)
      const work = { cost, measuredAt: answerer, measuredMs: answer.durationMs }
      const gpuSeconds = gpuSecondsAt(deployment, work)
      const { tier, id: deploymentId } = deployment
      return { tier, deploymentId, cost, ...(gpuSeconds !== undefined && { gpuSeconds }) }
    })
  } catch {
    // What cannot be counted is compared with nothing: a report must not cost the answer.
    return []
  }
}
