import { ASSUMED_CONTEXT_WINDOW } from "../catalog/eligibility.ts"
import { balancer } from "../dispatch/balance/balancer.ts"
import {
  type CallInFlight,
  type LatencyStats,
  latencyStats,
  type TargetStats,
} from "../dispatch/balance/latency-stats.ts"
import type {
  Admission,
  DispatchCandidate,
  DispatchOptions,
  TryEnding,
} from "../dispatch/dispatch-options.ts"
import { handlingFrom } from "../dispatch/failures/failure-handling.ts"
import { firstPieceTimes } from "../dispatch/first-piece-times.ts"
import { gatekeeper } from "../dispatch/gatekeeper.ts"
import type { HealthBook } from "../dispatch/health/health-book.ts"
import { ownHealth } from "../dispatch/health/own-health.ts"
import type { Hedging } from "../dispatch/hedge.ts"
import { type TrafficLimits, trafficLimits } from "../dispatch/limits/rate-limit.ts"
import { learnFrom } from "../dispatch/limits/response-headers.ts"
import { type Comer, type WaitingLine, waitingLine } from "../dispatch/limits/waiting-line.ts"
import { retryBudget } from "../dispatch/retry-budget.ts"
import type { Candidate, Deployment } from "../spec/catalog.ts"
import type { FailureKind } from "../spec/dispatch.ts"
import type { RequestFeatures, RouteRequest, Tier } from "../spec/request.ts"
import type { RouterOptions } from "./router-options.ts"

/** A candidate as dispatch knows it. */
export type Callee = DispatchCandidate & { readonly candidate: Candidate }

type Rules = Pick<DispatchOptions<Callee, never>, "admit" | "backAt" | "contextOf" | "line">

/** What dispatch has to keep to in the calls of one lineup, and who comes first in it. */
export interface Traffic {
  readonly health: HealthBook
  /**
   * Ids of all deployments, tier by tier, who is to be asked first among equals in front; undefined: the snapshot's draw says.
   *
   * @param takesTurn A call to this tier follows.
   */
  rank(session: string | undefined, tier: Tier, takesTurn: boolean): readonly string[] | undefined
  /** When a second candidate is asked beside the first; undefined: never. */
  readonly hedging: Hedging<Callee> | undefined
  /** What dispatch has to keep to in a call. */
  rules(request: RouteRequest, features: RequestFeatures): Rules
}

/** What a router knows of its deployments from call to call, whoever comes and goes: who is broken, full or fast. */
export interface TrafficControl {
  readonly health: HealthBook
  /**
   * Keeps limits and counts for a deployment from now on. Its breaker has the same key in all processes: its id, with its
   * version if it has one. What is known of one version says nothing of another.
   *
   * @param path Where it stands, for errors.
   * @throws ConfigError for a limit that is none.
   */
  take(deployment: Deployment, path: string): TrafficCounts
  /** Forgets its limits and counts. What the health book has of it is there for whoever comes with the same id and version. */
  forget(deployment: Deployment): void
  of(deployments: readonly Deployment[]): Traffic
  /** Leave for one try that is none of a caller's: it is not counted, but its end is learnt from. */
  admitProbe(deployment: Deployment, tokens: number): Admission | Promise<Admission>
}

/** What has come of the calls of one deployment. */
export interface TrafficCounts {
  /** Of its breaker and its limits, in this router's health book. */
  readonly healthKey: string
  /** Tries under way. */
  inFlight(): number
  /** Epoch ms, when a try ended last; undefined: none has. */
  lastUsedAt(): number | undefined
  metrics(): DeploymentMetrics
}

/** How a deployment has done since it came, or since the process began. */
export interface DeploymentMetrics {
  /** Tries that have ended and say something of it, well or badly; probes are not among them. */
  readonly calls: number
  /** Those that failed. What its caller ended or got wrong is no failure of its own, and is not counted. */
  readonly failures: number
  /** Until the first piece of its answers, ms, on average; undefined: none has come. */
  readonly meanFirstPieceMs: number | undefined
}

const DEFAULT_LONGEST = 100
const DEFAULT_LINE_MS = 10_000

/** A deployment whose calls are let through. */
interface Taken {
  /** Nobody else has had it here. */
  readonly key: string
  readonly healthKey: string
  readonly stats: LatencyStats
  readonly counts: Counting
  /** Undefined: there is nothing to listen to. */
  readonly stopListening: (() => void) | undefined
}

/** @throws ConfigError for a breaker or line that cannot be. */
export function trafficControl(options: RouterOptions): TrafficControl {
  const { now = Date.now, random = Math.random, order = "cheapest" } = options
  const health = ownHealth({ circuitBreaker: options.circuitBreaker, health: options.health, now, random })
  const taken = new WeakMap<Deployment, Taken>()
  const limits = new Map<string, TrafficLimits>()
  const byKey = new Map<string, Taken>()
  /** By id, of the lineup that is brought into order. */
  let present: ReadonlyMap<string, Taken> = new Map()
  let keysGiven = 0
  const stats: LatencyStats = {
    of: (id, at) => present.get(id)?.stats.of(id, at) ?? UNUSED,
    began: (key) => {
      const one = byKey.get(key)
      return one === undefined ? UNCOUNTED : one.stats.began(one.counts.id)
    },
  }
  const balancing = balancer(order, { now, random, stats })
  const line = lineFrom(options, now)
  const times = options.hedge === undefined ? undefined : firstPieceTimes()
  const gate = gatekeeper({
    health,
    healthKeyOf: (key) => byKey.get(key)?.healthKey ?? key,
    handling: handlingFrom(options.failureHandling),
    limits,
    stats: order === "least-in-flight" || order === "lowest-latency" ? stats : undefined,
    times,
    now,
    onEnded: line && ((key) => line.free(key)),
  })

  function keyOf(deployment: Deployment): string {
    return taken.get(deployment)?.key ?? deployment.id
  }

  function admit(deployment: Deployment, tokens: number, isRetry: boolean): Admission | Promise<Admission> {
    const counts = taken.get(deployment)?.counts
    const admission = gate.admit(keyOf(deployment), tokens, isRetry)
    if (counts === undefined) return admission
    return admission instanceof Promise
      ? admission.then((known) => counted(known, counts, now))
      : counted(admission, counts, now)
  }

  const hedging = hedgingFrom(options, (deployment) => times?.p95(keyOf(deployment)))

  return {
    health,
    take(deployment, path) {
      const given = trafficLimits({ limits: deployment.limits ?? {}, now, path: `${path}.limits` })
      const healthKey = healthKeyOf(deployment)
      const key = `${healthKey}~${++keysGiven}`
      const counts: Counting = {
        id: deployment.id,
        inFlight: 0,
        calls: 0,
        failures: 0,
        answers: 0,
        firstPieceMs: 0,
      }
      const { headers } = deployment
      const stopListening = headers && learnFrom(headers, given)
      const one: Taken = { key, healthKey, stats: latencyStats({ now }), counts, stopListening }
      limits.set(key, given)
      taken.set(deployment, one)
      byKey.set(key, one)
      return {
        healthKey,
        inFlight: () => counts.inFlight,
        lastUsedAt: () => counts.lastUsedAt,
        metrics: () => metricsOf(counts),
      }
    },
    forget(deployment) {
      const one = taken.get(deployment)
      if (one === undefined) return
      one.stopListening?.()
      taken.delete(deployment)
      byKey.delete(one.key)
      limits.delete(one.key)
      times?.forget(one.key)
    },
    of(deployments) {
      let own: ReadonlyMap<string, Taken> | undefined
      const byTier = [...Map.groupBy(deployments, ({ tier }) => tier)].map(([tier, of]) => ({
        tier,
        equals: of.map(({ id, weight }) => ({ id, weight })),
      }))
      // What a draw decides needs no ranking: the snapshot has the draw.
      const isDrawn = order === "cheapest" || order === "weighted"
      return {
        health,
        hedging,
        rank(session, tier, takesTurn) {
          if (session === undefined && isDrawn) return undefined
          own ??= new Map(deployments.map((deployment) => [deployment.id, taken.get(deployment) as Taken]))
          present = own
          return byTier.flatMap((one) => {
            const options = { session, takesTurn: takesTurn && one.tier === tier }
            return balancing.order(one.equals, options).map(({ id }) => id)
          })
        },
        rules({ priority = 0 }, { inputTokens }) {
          const comer = line?.comer(priority)
          return {
            admit({ candidate: { deployment, maxOutputTokens } }, isRetry) {
              const enter = () => admit(deployment, inputTokens + maxOutputTokens, isRetry)
              return comer === undefined ? enter() : inTurn(comer, keyOf(deployment), isRetry, enter)
            },
            backAt: ({ candidate: { deployment } }) => health.soonest([healthKeyOf(deployment)]),
            contextOf: ({ candidate: { deployment } }) =>
              deployment.profile.maxInputTokens ?? ASSUMED_CONTEXT_WINDOW,
            line: comer,
          }
        },
      }
    },
    admitProbe: (deployment, tokens) => gate.admit(keyOf(deployment), tokens, false),
  }
}

function healthKeyOf({ id, version }: Deployment): string {
  return version === undefined ? id : `${id}@${version}`
}

const UNUSED: TargetStats = { inFlight: 0, ewmaLatencyMs: undefined }
const UNCOUNTED: CallInFlight = { ended: () => {}, failed: () => {} }

interface Counting {
  readonly id: string
  inFlight: number
  lastUsedAt?: number
  calls: number
  failures: number
  answers: number
  /** Of all answers together. */
  firstPieceMs: number
}

function counted(admission: Admission, counts: Counting, now: () => number): Admission {
  if (!admission.admitted) return admission
  const { pass } = admission
  counts.inFlight++
  return {
    admitted: true,
    pass: {
      ...pass,
      ended(how) {
        counts.inFlight--
        counts.lastUsedAt = now()
        count(how, counts)
        pass.ended(how)
      },
    },
  }
}

/** Failures that say nothing of whoever was called. */
const NOT_ITS_OWN: ReadonlySet<FailureKind> = new Set([
  "aborted",
  "control-flow",
  "defect",
  "invalid-request",
])

function count(how: TryEnding, counts: Counting): void {
  if (how.ended === "unsent" || (how.ended === "failed" && NOT_ITS_OWN.has(how.failure))) return
  counts.calls++
  if (how.ended === "failed") {
    counts.failures++
    return
  }
  counts.answers++
  counts.firstPieceMs += how.firstPieceMs
}

function metricsOf({ calls, failures, answers, firstPieceMs }: Counting): DeploymentMetrics {
  return { calls, failures, meanFirstPieceMs: answers === 0 ? undefined : firstPieceMs / answers }
}

/** A twentieth of the calls at most, unless more is wanted. */
const HEDGED_SHARE = 0.05

function hedgingFrom(
  { hedge }: RouterOptions,
  timeOf: (deployment: Deployment) => number | undefined,
): Hedging<Callee> | undefined {
  if (hedge === undefined) return undefined
  const { afterMs, share = HEDGED_SHARE } = hedge
  return {
    afterMs: ({ candidate: { deployment } }) => afterMs ?? timeOf(deployment),
    budget: retryBudget({ share, perSecond: 0, reserve: 2 }),
  }
}

function lineFrom({ waitingLine: settings }: RouterOptions, now: () => number): WaitingLine | undefined {
  if (settings === undefined) return undefined
  const { longest = DEFAULT_LONGEST, timeoutMs = DEFAULT_LINE_MS } = settings
  return waitingLine({ longest, timeoutMs, now })
}

/** Those who stand in the line go first; a retry has had its turn. */
function inTurn(
  comer: Comer,
  key: string,
  isRetry: boolean,
  enter: () => Admission | Promise<Admission>,
): Admission | Promise<Admission> {
  const told = (admission: Admission): Admission => {
    if (admission.admitted) comer.leave()
    else if (admission.because === "saturated") comer.refused(key)
    return admission
  }
  if (!comer.mayTry(key) && !isRetry) return told(BEHIND_OTHERS)
  const admission = enter()
  return admission instanceof Promise ? admission.then(told) : told(admission)
}

const BEHIND_OTHERS: Admission = { admitted: false, because: "saturated", until: undefined }
