import type { Attempt, FailureKind } from "../spec/dispatch.ts"
import { nanoUsd } from "../spec/money.ts"
import type { RequestFeatures } from "../spec/request.ts"
import type { RouteRecord, TierCost } from "../spec/telemetry.ts"
import { NO_USAGE } from "../spec/usage.ts"

/** Deployments of the sample records: tier → id. */
export const SAMPLE_DEPLOYMENTS: Readonly<Record<string, string>> = {
  light: "small",
  standard: "medium",
  heavy: "large",
}

/** In NanoUsd per token, input and output alike. */
export const SAMPLE_RATES: Readonly<Record<string, number>> = { light: 1, standard: 3, heavy: 10 }

export interface SampleTry {
  readonly tier: string
  /** Default: that of `SAMPLE_DEPLOYMENTS`. */
  readonly deploymentId?: string | undefined
  /** Input tokens, default 100; output tokens, default 0. */
  readonly input?: number | undefined
  readonly output?: number | undefined
  readonly cached?: number | undefined
  /** NanoUsd. Default: its tokens at its tier's rate. */
  readonly cost?: number | undefined
  /** Given: the attempt failed so. */
  readonly failure?: FailureKind | undefined
  /** Given: its answer was rejected. */
  readonly rejected?: boolean | undefined
}

export interface SampleRecord {
  /** The last one that did not fail gave the answer. */
  readonly tries: readonly SampleTry[]
  readonly id?: string | undefined
  readonly at?: number | undefined
  readonly tenant?: string | undefined
  readonly taskType?: string | undefined
  readonly score?: number | undefined
  readonly turns?: number | undefined
  readonly outputCap?: number | undefined
  /** NanoUsd per token, cheapest tier first. Default `SAMPLE_RATES`. */
  readonly rates?: Readonly<Record<string, number>> | undefined
}

/** A record as the router makes it, of attempts whose figures can be worked out by hand. */
export function sampleRecord(sample: SampleRecord): RouteRecord {
  const { id = "r", at = 0, tenant, taskType, score, rates = SAMPLE_RATES } = sample
  const attempts = sample.tries.map((one) => sampleAttempt(one, rates))
  const winner = attempts.findLast((attempt) => attempt.outcome === "answered")
  const tokens = winner === undefined ? 0 : winner.usage.inputTokens + winner.usage.outputTokens
  const tierCosts = Object.entries(rates).map(
    ([tier, rate]): TierCost => ({
      tier,
      deploymentId: SAMPLE_DEPLOYMENTS[tier] ?? tier,
      cost: nanoUsd(rate * tokens),
    }),
  )
  const answered = sample.tries.filter(({ failure }) => failure === undefined)
  const features = { inputTokens: 100, turns: sample.turns ?? 1, toolResultsPending: false }
  return {
    id,
    at,
    durationMs: 1,
    scopes: tenant === undefined ? {} : { tenant },
    taskType,
    streamed: false,
    snapshot: { at, draw: 0 },
    plan: {
      features: features as RequestFeatures,
      estimator: "sample",
      estimate: score === undefined ? undefined : { score, confidence: 1, factors: {} },
      decision: { tier: "light", reason: "estimated", because: "", floor: "light", ceiling: "heavy" },
      candidates: Object.entries(SAMPLE_DEPLOYMENTS).map(([tier, deploymentId]) => ({
        deploymentId,
        tier,
        quote: { money: nanoUsd(1_000), tokens: 1_000 },
        maxOutputTokens: sample.outputCap ?? 1_000,
      })),
      excluded: [],
      problems: [],
    },
    decisions: [],
    recoveries: [],
    attempts,
    verdicts: answered.map(({ tier, deploymentId = SAMPLE_DEPLOYMENTS[tier] ?? tier, rejected }) => ({
      tier,
      deploymentId,
      verdict: rejected === true ? { accepted: false, reason: "it hedges" } : { accepted: true },
    })),
    answeredBy: winner && { deploymentId: winner.deploymentId, tier: winner.tier },
    cost: nanoUsd(attempts.reduce((sum, one) => sum + (one.outcome === "skipped" ? 0 : one.cost), 0)),
    baselineCost: tierCosts.at(-1)?.cost ?? nanoUsd(0),
    tierCosts: winner === undefined ? [] : tierCosts,
    gpuSeconds: undefined,
    problems: [],
    error: winner === undefined ? "nobody answered" : undefined,
  }
}

function sampleAttempt(
  { tier, deploymentId, input = 100, output = 0, cached = 0, cost, failure }: SampleTry,
  rates: Readonly<Record<string, number>>,
): Attempt {
  const base = {
    deploymentId: deploymentId ?? SAMPLE_DEPLOYMENTS[tier] ?? tier,
    tier,
    startedAt: 0,
    durationMs: 1,
    usage: {
      ...NO_USAGE,
      estimated: false,
      inputTokens: input,
      outputTokens: output,
      cachedInputTokens: cached,
    },
    cost: nanoUsd(cost ?? (rates[tier] ?? 0) * (input + output)),
  }
  return failure === undefined
    ? { ...base, outcome: "answered", firstPieceMs: 1 }
    : { ...base, outcome: "failed", failure, error: failure }
}
