import { ASSUMED_CONTEXT_WINDOW } from "../catalog/eligibility.ts"
import { type Balancer, balancer } from "../dispatch/balance/balancer.ts"
import {
  type CallInFlight,
  type TargetStats,
  type LatencyStats,
  latencyStats,
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
import { type HealthBook, healthBook } from "../dispatch/health/health-book.ts"
import type { Hedging } from "../dispatch/hedge.ts"
import { type TrafficLimits, trafficLimits } from "../dispatch/limits/rate-limit.ts"
import { type Comer, type WaitingLine, waitingLine } from "../dispatch/limits/waiting-line.ts"
import { retryBudget } from "../dispatch/retry-budget.ts"
import type { Candidate, Deployment } from "../spec/catalog.ts"
import type { FailureKind } from "../spec/dispatch.ts"
import type { RequestFeatures, RouteRequest } from "../spec/request.ts"
import type { BalanceKind } from "../spec/traffic.ts"
import type { RouterOptions } from "./router-options.ts"

/** A candidate as dispatch knows it. */
export type Callee = DispatchCandidate & { readonly candidate: Candidate }

type Rules = Pick<DispatchOptions<Callee, never>, "admit" | "contextOf" | "line">

/** What dispatch has to keep to in the calls of one lineup, and who comes first in it. */
export interface Traffic {
  readonly health: HealthBook
  /** All deployments, who is to be asked first among equals in front; undefined: the snapshot's draw says. */
  rank(session: string | undefined): readonly string[] | undefined
  /** When a second candidate is asked beside the first; undefined: never. */
  readonly hedging: Hedging<Callee> | undefined
  /** What dispatch has to keep to in a call. */
  rules(request: RouteRequest, features: RequestFeatures): Rules
}

/** What a router knows of its deployments from call to call, whoever comes and goes: who is broken, full or fast. */
export interface TrafficControl {
  readonly health: HealthBook
  /**
   * Keeps limits and counts for a deployment from now on, and gives its breaker a key that nobody else has had here: its id,
   * with its version if it has one.
   *
   * @param path Where it stands, for errors.
   * @throws ConfigError for a limit that is none.
   */
  take(deployment: Deployment, path: string): TrafficCounts
  /** Forgets its limits and counts. What the health book has of it lies under a key that is not given again. */
  forget(deployment: Deployment): void
  of(deployments: readonly Deployment[]): Traffic
  /** Leave for one try that is none of a caller's: it is not counted, but its end is learnt from. */
  admitProbe(deployment: Deployment, tokens: number): Admission | Promise<Admission>
}

/** What has come of the calls of one deployment. */
export interface TrafficCounts {
  /** Of its breaker and its limits, in this router's health book. */
  readonly key: string
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

/** Nobody is so broken. */
const NEVER_TRIPS = { failures: Number.MAX_SAFE_INTEGER }

/** A deployment whose calls are let through. */
interface Taken {
  readonly key: string
  readonly stats: LatencyStats
  readonly counts: Counting
}

/** @throws ConfigError for a breaker or line that cannot be. */
export function trafficControl(options: RouterOptions): TrafficControl {
  const { now = Date.now, random = Math.random, order = "cheapest" } = options
  const breaker = options.circuitBreaker === false ? NEVER_TRIPS : options.circuitBreaker
  const health = options.health ?? healthBook({ breaker, now, random })
  const taken = new WeakMap<Deployment, Taken>()
  const limits = new Map<string, TrafficLimits>()
  const byKey = new Map<string, Taken>()
  /** By id, of the lineup that is brought into order. */
  let present: ReadonlyMap<string, Taken> = new Map()
  const keysGiven = new Map<string, number>()
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
    handling: handlingFrom(options.failureHandling),
    limits,
    stats: order === "least-in-flight" || order === "lowest-latency" ? stats : undefined,
    times,
    now,
    onEnded: line && ((key) => line.free(key)),
  })

  /** What is said of another version says nothing of this one. */
  function newKey({ id, version }: Deployment): string {
    const key = version === undefined ? id : `${id}@${version}`
    const before = keysGiven.get(key) ?? 0
    keysGiven.set(key, before + 1)
    return before === 0 ? key : `${key}~${before + 1}`
  }

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
      const key = newKey(deployment)
      const counts: Counting = {
        id: deployment.id,
        inFlight: 0,
        calls: 0,
        failures: 0,
        answers: 0,
        firstPieceMs: 0,
      }
      const one: Taken = { key, stats: latencyStats({ now }), counts }
      limits.set(key, given)
      taken.set(deployment, one)
      byKey.set(key, one)
      return {
        key,
        inFlight: () => counts.inFlight,
        lastUsedAt: () => counts.lastUsedAt,
        metrics: () => metricsOf(counts),
      }
    },
    forget(deployment) {
      const one = taken.get(deployment)
      if (one === undefined) return
      taken.delete(deployment)
      byKey.delete(one.key)
      limits.delete(one.key)
    },
    of(deployments) {
      let own: ReadonlyMap<string, Taken> | undefined
      return {
        health,
        hedging,
        rank(session) {
          own ??= new Map(deployments.map((deployment) => [deployment.id, taken.get(deployment) as Taken]))
          present = own
          return ranking(deployments, order, balancing, session)
        },
        rules({ priority = 0 }, { inputTokens }) {
          const comer = line?.comer(priority)
          return {
            admit({ candidate: { deployment, maxOutputTokens } }, isRetry) {
              const enter = () => admit(deployment, inputTokens + maxOutputTokens, isRetry)
              return comer === undefined ? enter() : inTurn(comer, keyOf(deployment), isRetry, enter)
            },
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

function ranking(
  deployments: readonly Deployment[],
  order: BalanceKind,
  balancing: Balancer,
  session: string | undefined,
): readonly string[] | undefined {
  // What a draw decides needs no ranking: the snapshot has the draw.
  if (session === undefined && (order === "cheapest" || order === "weighted")) return undefined
  const equals = deployments.map(({ id, weight }) => ({ id, weight }))
  return balancing.order(equals, { session }).map(({ id }) => id)
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
