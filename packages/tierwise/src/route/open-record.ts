import { costOf } from "../pricing/cost.ts"
import type { Rates } from "../pricing/rates.ts"
import type { Attempt } from "../spec/dispatch.ts"
import { messageOf } from "../spec/errors.ts"
import { addMoney, type NanoUsd, ZERO_USD } from "../spec/money.ts"
import type { RoutingDecision, Snapshot } from "../spec/policy.ts"
import type { RouteRequest } from "../spec/request.ts"
import type { JudgedAnswer, Plan, Problem, RouteEvent, RouteRecord } from "../spec/telemetry.ts"

/** What has happened so far to one request. Written by the hall only; closed once. */
export interface OpenRecord {
  readonly id: string
  attempted(attempt: Attempt): void
  judged(judged: JudgedAnswer): void
  escalated(decision: RoutingDecision): void
  problem(problem: Problem): void
  /** Who answered last, so far. */
  answeredBy(): RouteRecord["answeredBy"]
  /** Whose answer is returned; undefined: none is. */
  close(answeredBy: RouteRecord["answeredBy"], error: unknown): RouteRecord
}

export interface OpenRecordOptions {
  readonly id: string
  readonly request: RouteRequest
  readonly snapshot: Snapshot
  readonly plan: Plan
  readonly streamed: boolean
  /** Rates of the top tier's first deployment: the always-heavy baseline. */
  readonly baselineRates: Rates
  readonly now: () => number
  readonly tell: (event: RouteEvent) => void
}

export function openRecord(options: OpenRecordOptions): OpenRecord {
  const { id, request, snapshot, plan, streamed, now, tell } = options
  const decisions: RoutingDecision[] = [plan.decision]
  const attempts: Attempt[] = []
  const verdicts: JudgedAnswer[] = []
  const problems: Problem[] = [...plan.problems]
  tell({ type: "plan-made", id, plan })
  return {
    id,
    attempted(attempt) {
      // Observers are handed this very object, and have no say in what it cost.
      if ("usage" in attempt) Object.freeze(attempt.usage)
      attempts.push(Object.freeze(attempt))
      tell({ type: "attempt-ended", id, attempt })
    },
    judged(judged) {
      verdicts.push(judged)
      tell({ type: "answer-judged", id, judged })
    },
    escalated(decision) {
      decisions.push(decision)
      tell({ type: "tier-escalated", id, decision })
    },
    problem(problem) {
      problems.push(problem)
    },
    answeredBy() {
      const last = attempts.findLast(({ outcome }) => outcome === "answered")
      return last && { deploymentId: last.deploymentId, tier: last.tier }
    },
    close(answeredBy, error) {
      const record: RouteRecord = {
        id,
        at: snapshot.at,
        durationMs: now() - snapshot.at,
        scopes: request.scopes ?? {},
        taskType: plan.features.taskType,
        streamed,
        snapshot,
        plan,
        decisions,
        attempts,
        verdicts,
        answeredBy,
        cost: attempts.reduce((sum, attempt) => addMoney(sum, costOfAttempt(attempt)), ZERO_USD),
        baselineCost: baselineCost(attempts, answeredBy, options.baselineRates),
        problems,
        error: error === undefined ? undefined : messageOf(error),
      }
      tell({ type: "request-ended", id, record })
      return record
    },
  }
}

function costOfAttempt(attempt: Attempt): NanoUsd {
  return attempt.outcome === "skipped" ? ZERO_USD : attempt.cost
}

/** What the returned answer's tokens cost at the baseline's rates. */
function baselineCost(
  attempts: readonly Attempt[],
  answeredBy: RouteRecord["answeredBy"],
  rates: Rates,
): NanoUsd {
  const winner = attempts.findLast(
    (attempt) => attempt.outcome === "answered" && attempt.deploymentId === answeredBy?.deploymentId,
  )
  if (winner?.outcome !== "answered") return ZERO_USD
  try {
    return costOf(winner.usage, rates)
  } catch {
    // What cannot be counted is compared with nothing: a report must not cost the answer.
    return ZERO_USD
  }
}
