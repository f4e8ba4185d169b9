import type { RouteRecord } from "../../spec/telemetry.ts"
import { returnedAttempt, sentAttempts, tierCostsOf } from "../record-parts.ts"
import { reportMoney } from "../report-money.ts"
import type { Suggestion } from "../suggestion.ts"
import type { SuggestionThresholds } from "../suggestion-thresholds.ts"
import type { Tally } from "../tally.ts"

/** Easy requests that a tier above the lowest answers at once: by a pin, a task type's rule, or low thresholds. */
export function easyRequests(thresholds: SuggestionThresholds): Tally<readonly Suggestion[]> {
  const { easyScore, easyShare, minEvidence } = thresholds
  const tiers = new Map<string, { answers: number; saving: number; lowestTier: string }>()
  let easy = 0
  return {
    add(record) {
      const score = record.plan.estimate?.score
      const costs = tierCostsOf(record)
      const [lowest] = costs
      if (score === undefined || score >= easyScore || lowest === undefined) return
      easy += 1
      const tier = returnedAttempt(record)?.tier
      if (tier === undefined || tier === lowest.tier || wasTried(lowest.tier, record)) return
      const open = tiers.get(tier) ?? { answers: 0, saving: 0, lowestTier: lowest.tier }
      open.answers += 1
      open.saving += record.cost - lowest.cost
      tiers.set(tier, open)
    },
    report: () =>
      [...tiers]
        .filter(
          ([, { answers, saving }]) => answers >= minEvidence && answers >= easyShare * easy && saving > 0,
        )
        .map(([tier, { answers, saving, lowestTier }]): Suggestion => {
          const percent = (100 * answers) / easy
          return {
            kind: "easy-requests-above-lowest-tier",
            message:
              `${tier} answered ${Math.round(percent)} % of the requests that scored < ${easyScore} (${answers} of ${easy}). ` +
              `Raise the threshold below it, or let ${lowestTier} have the task types that bring them.`,
            evidence: {
              tier,
              lowestTier,
              scoreBelow: easyScore,
              easyRequests: easy,
              answeredHere: answers,
              percent,
            },
            estimatedSaving: reportMoney(saving),
          }
        }),
  }
}

function wasTried(tier: string, record: RouteRecord): boolean {
  return sentAttempts(record).some((attempt) => attempt.tier === tier)
}
