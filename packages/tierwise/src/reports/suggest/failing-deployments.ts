import type { FailureKind } from "../../spec/dispatch.ts"
import { addMoney, ZERO_USD } from "../../spec/money.ts"
import { type SentAttempt, sentAttempts } from "../record-parts.ts"
import { reportMoney } from "../report-money.ts"
import type { Suggestion } from "../suggestion.ts"
import type { SuggestionThresholds } from "../suggestion-thresholds.ts"
import type { Tally } from "../tally.ts"

/** What another deployment would have run into as well. */
const NOT_ITS_FAULT: ReadonlySet<FailureKind> = new Set<FailureKind>([
  "aborted",
  "control-flow",
  "defect",
  "invalid-request",
])

/** Deployments whose attempts mostly fail, and are billed all the same. */
export function failingDeployments(thresholds: SuggestionThresholds): Tally<readonly Suggestion[]> {
  const { failedShare, minEvidence } = thresholds
  const deployments = new Map<string, { attempts: number; failed: number; cost: typeof ZERO_USD }>()
  return {
    add(record) {
      for (const attempt of sentAttempts(record).filter(countsForIt)) {
        const open = deployments.get(attempt.deploymentId) ?? { attempts: 0, failed: 0, cost: ZERO_USD }
        deployments.set(attempt.deploymentId, open)
        open.attempts += 1
        if (attempt.outcome === "answered") continue
        open.failed += 1
        open.cost = addMoney(open.cost, attempt.cost)
      }
    },
    report: () =>
      [...deployments]
        .filter(
          ([, { attempts, failed, cost }]) =>
            attempts >= minEvidence && failed >= failedShare * attempts && cost > 0,
        )
        .map(([deploymentId, { attempts, failed, cost }]): Suggestion => {
          const percent = (100 * failed) / attempts
          return {
            kind: "failing-deployment",
            message:
              `${deploymentId} failed in ${Math.round(percent)} % of ${attempts} attempts, and was billed for them. ` +
              "Mend it, give it weight 0, or take it out.",
            evidence: { deploymentId, attempts, failed, percent, failedCost: reportMoney(cost) },
            estimatedSaving: reportMoney(cost),
          }
        }),
  }
}

function countsForIt(attempt: SentAttempt): boolean {
  return attempt.outcome === "answered" || !NOT_ITS_FAULT.has(attempt.failure)
}
