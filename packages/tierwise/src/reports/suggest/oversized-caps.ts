import { addMoney, type NanoUsd, ZERO_USD } from "../../spec/money.ts"
import { quantile } from "../quantile.ts"
import { answeredAttempts } from "../record-parts.ts"
import { reportMoney } from "../report-money.ts"
import type { Suggestion } from "../suggestion.ts"
import type { SuggestionThresholds } from "../suggestion-thresholds.ts"
import type { Tally } from "../tally.ts"

interface Caps {
  outputCap: number
  longestAnswer: number
  quoted: NanoUsd
  cost: NanoUsd
  /** Output ÷ cap, one for each answer. */
  readonly used: number[]
}

/** Output caps far above any answer: they cost nothing, and hold money that other calls then cannot have. */
export function oversizedCaps(thresholds: SuggestionThresholds): Tally<readonly Suggestion[]> {
  const { capUsedShare, minEvidence } = thresholds
  const deployments = new Map<string, Caps>()
  return {
    add(record) {
      for (const { deploymentId, usage, cost } of answeredAttempts(record)) {
        // Only the first plan's candidates are on the record: an escalation's cap is not known.
        const candidate = record.plan.candidates.find((one) => one.deploymentId === deploymentId)
        if (candidate === undefined || candidate.maxOutputTokens === 0) continue
        const fresh = { outputCap: 0, longestAnswer: 0, quoted: ZERO_USD, cost: ZERO_USD, used: [] }
        const open: Caps = deployments.get(deploymentId) ?? fresh
        deployments.set(deploymentId, open)
        open.outputCap = Math.max(open.outputCap, candidate.maxOutputTokens)
        open.longestAnswer = Math.max(open.longestAnswer, usage.outputTokens)
        open.quoted = addMoney(open.quoted, candidate.quote.money)
        open.cost = addMoney(open.cost, cost)
        open.used.push(usage.outputTokens / candidate.maxOutputTokens)
      }
    },
    report: () =>
      [...deployments].flatMap(([deploymentId, { used, quoted, cost, outputCap, longestAnswer }]) => {
        const p99 = quantile(
          used.toSorted((a, b) => a - b),
          0.99,
        )
        const suggestedCap = 2 * longestAnswer
        const isFar = p99 !== undefined && p99 <= capUsedShare && suggestedCap < outputCap && suggestedCap > 0
        if (used.length < minEvidence || !isFar) return []
        const suggestion: Suggestion = {
          kind: "oversized-output-cap",
          message:
            `99 % of ${used.length} answers of ${deploymentId} used at most ${Math.ceil(100 * p99)} % of their output cap. ` +
            `A maxOutputTokens of ${suggestedCap} instead of ${outputCap} holds less of the budget per call.`,
          evidence: {
            deploymentId,
            answers: used.length,
            outputCap,
            longestAnswer,
            p99PercentOfCap: 100 * p99,
            suggestedCap,
            quoted: reportMoney(quoted),
            cost: reportMoney(cost),
          },
          estimatedSaving: reportMoney(0),
        }
        return [suggestion]
      }),
  }
}
