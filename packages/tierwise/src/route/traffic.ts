import { ASSUMED_CONTEXT_WINDOW } from "../catalog/eligibility.ts"
import { type Balancer, balancer } from "../dispatch/balance/balancer.ts"
import { latencyStats } from "../dispatch/balance/latency-stats.ts"
import type { DispatchCandidate, DispatchOptions } from "../dispatch/dispatch-options.ts"
import { handlingFrom } from "../dispatch/failures/failure-handling.ts"
import { gatekeeper } from "../dispatch/gatekeeper.ts"
import { type HealthBook, healthBook } from "../dispatch/health/health-book.ts"
import { trafficLimits } from "../dispatch/limits/rate-limit.ts"
import { type WaitingLine, waitingLine } from "../dispatch/limits/waiting-line.ts"
import type { Candidate, Deployment } from "../spec/catalog.ts"
import type { RequestFeatures, RouteRequest } from "../spec/request.ts"
import type { BalanceKind } from "../spec/traffic.ts"
import type { RouterOptions } from "./router-options.ts"

/** A candidate as dispatch knows it. */
export type Callee = DispatchCandidate & { readonly candidate: Candidate }

type Rules = Pick<DispatchOptions<Callee, never>, "admit" | "contextOf" | "waitForRoom">

/** What a router knows of its deployments from call to call: who is broken, who is full, who is fast. */
export interface Traffic {
  readonly health: HealthBook
  /** All deployments, who is to be asked first among equals in front; undefined: the snapshot's draw says. */
  rank(session: string | undefined): readonly string[] | undefined
  /** What dispatch has to keep to in a call. */
  rules(request: RouteRequest, features: RequestFeatures): Rules
}

const DEFAULT_LONGEST = 100
const DEFAULT_LINE_MS = 10_000

/** Nobody is so broken. */
const NEVER_TRIPS = { failures: Number.MAX_SAFE_INTEGER }

/** @throws ConfigError for a limit, breaker or line that cannot be. */
export function trafficFrom(options: RouterOptions, deployments: readonly Deployment[]): Traffic {
  const { now = Date.now, random = Math.random, order = "cheapest" } = options
  const breaker = options.circuitBreaker === false ? NEVER_TRIPS : options.circuitBreaker
  const health = options.health ?? healthBook({ breaker, now, random })
  const limits = new Map(
    deployments.map(({ id, limits = {} }, index) => [
      id,
      trafficLimits({ limits, now, path: `deployments[${index}].limits` }),
    ]),
  )
  const stats = latencyStats({ now })
  const balancing = balancer(order, { now, random, stats })
  const line = lineFrom(options, now)
  const gate = gatekeeper({
    health,
    handling: handlingFrom(options.failureHandling),
    limits,
    stats: order === "least-in-flight" || order === "lowest-latency" ? stats : undefined,
    now,
    onEnded: line && (() => void line.free()),
  })
  return {
    health,
    rank: (session) => ranking(deployments, order, balancing, session),
    rules: ({ priority = 0 }, { inputTokens }) => ({
      admit: ({ deploymentId, candidate }, isRetry) =>
        gate.admit(deploymentId, inputTokens + candidate.maxOutputTokens, isRetry),
      contextOf: ({ candidate: { deployment } }) =>
        deployment.profile.maxInputTokens ?? ASSUMED_CONTEXT_WINDOW,
      waitForRoom: line && roomIn(line, priority, now),
    }),
  }
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

function lineFrom({ waitingLine: settings }: RouterOptions, now: () => number): WaitingLine | undefined {
  if (settings === undefined) return undefined
  const { longest = DEFAULT_LONGEST, timeoutMs = DEFAULT_LINE_MS } = settings
  return waitingLine({ longest, timeoutMs, now })
}

/** A place in the line, and one turn more when a limit that is known to end has ended. */
function roomIn(line: WaitingLine, priority: number, now: () => number) {
  return async (until: number | undefined, signal: AbortSignal | undefined): Promise<boolean> => {
    const free = () => void line.free()
    const timer = until === undefined ? undefined : setTimeout(free, Math.max(1, until - now()))
    try {
      return (await line.wait(signal, priority)) === "turn"
    } finally {
      clearTimeout(timer)
    }
  }
}
