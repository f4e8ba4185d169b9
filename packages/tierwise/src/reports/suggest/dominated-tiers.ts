import { returnedAttempt, tierCostsOf } from "../record-parts.ts"
import { reportMoney } from "../report-money.ts"
import type { Suggestion } from "../suggestion.ts"
import type { SuggestionThresholds } from "../suggestion-thresholds.ts"
import type { Tally } from "../tally.ts"

interface Rivals {
  readonly tier: string
  readonly deploymentId: string
  readonly strongerTier: string
  readonly strongerDeploymentId: string
  answers: number
  dearer: number
  /** NanoUsd. */
  saving: number
}

/** Tiers whose first deployment is weaker and yet dearer than a stronger tier's, for the tokens it really answered. */
export function dominatedTiers(thresholds: SuggestionThresholds): Tally<readonly Suggestion[]> {
  const { dominatedShare, minEvidence } = thresholds
  const pairs = new Map<string, Rivals>()
  return {
    add(record) {
      const tiers = tierCostsOf(record)
      const answeredBy = returnedAttempt(record)?.deploymentId
      const rung = tiers.findIndex(({ deploymentId }) => deploymentId === answeredBy)
      const own = tiers[rung]
      if (own === undefined) return
      for (const stronger of tiers.slice(rung + 1)) {
        const { tier: strongerTier, deploymentId: strongerDeploymentId } = stronger
        const names = { tier: own.tier, deploymentId: own.deploymentId, strongerTier, strongerDeploymentId }
        const key = JSON.stringify(Object.values(names))
        const open = pairs.get(key) ?? { ...names, answers: 0, dearer: 0, saving: 0 }
        pairs.set(key, open)
        open.answers += 1
        open.dearer += own.cost > stronger.cost ? 1 : 0
        open.saving += own.cost - stronger.cost
      }
    },
    report: () =>
      [...Map.groupBy(pairs.values(), ({ deploymentId }) => deploymentId).values()]
        .map((rivals) => rivals.reduce((best, one) => (one.saving > best.saving ? one : best)))
        .filter(
          ({ answers, dearer, saving }) =>
            answers >= minEvidence && dearer >= dominatedShare * answers && saving > 0,
        )
        .map(({ saving, ...rivals }): Suggestion => {
          const { tier, deploymentId, strongerTier, strongerDeploymentId, answers, dearer } = rivals
          return {
            kind: "dominated-tier",
            message:
              `${deploymentId} (${tier}) is weaker than ${strongerDeploymentId} (${strongerTier}) and cost more for ${dearer} of ` +
              `${answers} answers. Replace it, or let ${strongerTier} have its requests.`,
            evidence: { ...rivals, percent: (100 * dearer) / answers },
            estimatedSaving: reportMoney(saving),
          }
        }),
  }
}
