import { answeredAttempts, tierCostsOf } from "../record-parts.ts"
import { reportMoney } from "../report-money.ts"
import type { Suggestion } from "../suggestion.ts"
import type { SuggestionThresholds } from "../suggestion-thresholds.ts"
import type { Tally } from "../tally.ts"

interface FirstTries {
  readonly taskType: string | undefined
  readonly tier: string
  readonly nextTier: string
  answers: number
  escalated: number
  /** Rejected answers' cost − what the accepted ones would have cost more, one tier up. NanoUsd. */
  saving: number
}

/** Task types whose first answer is nearly always rejected: starting one tier up costs less. */
export function wastedFirstTries(thresholds: SuggestionThresholds): Tally<readonly Suggestion[]> {
  const { escalatedShare, minEvidence } = thresholds
  const tries = new Map<string, FirstTries>()
  return {
    add(record) {
      const answers = answeredAttempts(record)
      const [first] = answers
      const tiers = tierCostsOf(record)
      const next = tiers[tiers.findIndex(({ tier }) => tier === first?.tier) + 1]
      if (first === undefined || next === undefined || next === tiers[0]) return
      const { taskType } = record
      const key = JSON.stringify([taskType, first.tier, next.tier])
      const fresh = { taskType, tier: first.tier, nextTier: next.tier, answers: 0, escalated: 0, saving: 0 }
      const open = tries.get(key) ?? fresh
      tries.set(key, open)
      open.answers += 1
      const accepted = record.verdicts[0]?.verdict.accepted ?? true
      if (accepted) open.saving -= next.cost - first.cost
      else if (answers.length > 1) {
        open.escalated += 1
        open.saving += first.cost
      }
    },
    report: () =>
      [...tries.values()]
        .filter(
          ({ answers, escalated, saving }) =>
            answers >= minEvidence && escalated >= escalatedShare * answers && saving > 0,
        )
        .map(({ answers, escalated, saving, ...what }): Suggestion => {
          const { taskType, tier, nextTier } = what
          const percent = (100 * escalated) / answers
          const whose = taskType === undefined ? "requests without a task type" : `task type ${taskType}`
          return {
            kind: "wasted-first-try",
            message:
              `${Math.round(percent)} % of the first answers of ${tier} to ${whose} were rejected (${escalated} of ${answers}). ` +
              `Let them start at ${nextTier}.`,
            evidence: { ...what, firstAnswers: answers, escalated, percent },
            estimatedSaving: reportMoney(saving),
          }
        }),
  }
}
