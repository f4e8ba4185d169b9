import type { Deployment } from "../spec/catalog.ts"
import type { Attempt } from "../spec/dispatch.ts"
import { messageOf } from "../spec/errors.ts"
import { addMoney, type NanoUsd, ZERO_USD } from "../spec/money.ts"
import type { RoutingDecision, Snapshot } from "../spec/policy.ts"
import type { RouteRequest } from "../spec/request.ts"
import type { JudgedAnswer, Plan, Problem, Recovery, RouteEvent, RouteRecord } from "../spec/telemetry.ts"
import { gpuSecondsOf } from "./gpu-seconds.ts"
import { type Answered, type Baseline, tierCostsOf } from "./tier-costs.ts"

/** What has happened so far to one request. Written by the hall only; closed once. */
export interface OpenRecord {
  readonly id: string
  attempted(attempt: Attempt): void
  judged(judged: JudgedAnswer): void
  escalated(decision: RoutingDecision): void
  downgraded(decision: RoutingDecision): void
  recovered(recovery: Recovery): void
  problem(problem: Problem): void
  /** So far. */
  attempts(): readonly Attempt[]
  /** Of all attempts so far. */
  cost(): NanoUsd
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
  /** Every tier's first deployment, cheapest tier first. */
  readonly baselines: readonly Baseline[]
  /** All that may have been asked. */
  readonly deployments: readonly Deployment[]
  readonly now: () => number
  readonly tell: (event: RouteEvent) => void
}

export function openRecord(options: OpenRecordOptions): OpenRecord {
  const { id, request, snapshot, plan, streamed, now, tell } = options
  const decisions: RoutingDecision[] = [plan.decision]
  const attempts: Attempt[] = []
  const verdicts: JudgedAnswer[] = []
  const recoveries: Recovery[] = []
  const problems: Problem[] = [...plan.problems]
  const cost = () => attempts.reduce((sum, attempt) => addMoney(sum, costOfAttempt(attempt)), ZERO_USD)
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
    downgraded(decision) {
      decisions.push(decision)
      tell({ type: "tier-downgraded", id, decision })
    },
    recovered(recovery) {
      recoveries.push(recovery)
      tell({ type: "stream-recovered", id, recovery })
    },
    problem(problem) {
      problems.push(problem)
    },
    attempts: () => attempts,
    cost,
    answeredBy() {
      const last = attempts.findLast(({ outcome }) => outcome === "answered")
      return last && { deploymentId: last.deploymentId, tier: last.tier }
    },
    close(answeredBy, error) {
      const tierCosts = tierCostsOf(returned(attempts, answeredBy), options.baselines, options.deployments)
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
        recoveries,
        answeredBy,
        cost: cost(),
        baselineCost: tierCosts.at(-1)?.cost ?? ZERO_USD,
        tierCosts,
        gpuSeconds: gpuSecondsOf(attempts, options.deployments),
        problems: [...problems],
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

/** The attempt whose answer was returned. */
function returned(attempts: readonly Attempt[], answeredBy: RouteRecord["answeredBy"]): Answered | undefined {
  const isReturned = (attempt: Attempt): attempt is Answered =>
    attempt.outcome === "answered" && attempt.deploymentId === answeredBy?.deploymentId
  return attempts.findLast(isReturned)
}
