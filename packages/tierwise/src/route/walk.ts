import type { PressureGauge } from "../budget/pressure.ts"
import { withSignal } from "../dispatch/with-signal.ts"
import type { Invocation } from "../langchain/call-model.ts"
import { type Audience, audienceOf } from "../langchain/curtain.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { Candidate } from "../spec/catalog.ts"
import { messageOf } from "../spec/errors.ts"
import type { RoutingDecision, Snapshot } from "../spec/policy.ts"
import type { Gate, RouteRequest, Tier } from "../spec/request.ts"
import { notify } from "../telemetry/notify.ts"
import { checkRequest } from "./check-request.ts"
import { inTime } from "./in-time.ts"
import { findCandidates, makePlan, type Planned } from "./make-plan.ts"
import { type OpenRecord, openRecord } from "./open-record.ts"
import type { RouterParts } from "./router-parts.ts"
import type { RunningDeadline } from "./running-deadline.ts"

/** One request on its way through the rooms. */
export interface Walk {
  readonly request: RouteRequest
  readonly invocation: Invocation
  readonly snapshot: Snapshot
  readonly planned: Planned
  readonly record: OpenRecord
  readonly streamed: boolean
  readonly gate: Gate
  /** Handlers that read the words as they come; undefined: nobody does. */
  readonly audience: Audience | undefined
  /** Who could be asked after an answer of this tier was rejected; undefined: nobody, its answers are final. */
  nextRung(tier: Tier): Rung | undefined
  /** From now on no answer escalates above this tier. */
  lowerCeiling(tier: Tier): void
  /** Undefined: it may take as long as it takes. */
  readonly deadline: RunningDeadline | undefined
  /** True for an abort by the caller, not by our deadline. */
  readonly callerAborted: () => boolean
}

export interface Rung {
  readonly decision: RoutingDecision
  readonly candidates: readonly Candidate[]
}

/** Everything with state is read once, so that the plan can be repeated from it. Nobody is asked who need not be. */
export function takeSnapshot(parts: RouterParts, request: RouteRequest): Snapshot | Promise<Snapshot> {
  const { now, random } = parts.dispatch
  const snapshot = { at: now(), draw: random() }
  const { budget, pressure } = parts
  return budget === undefined || pressure === undefined
    ? snapshot
    : underPressure(snapshot, request, { budget, pressure })
}

async function underPressure(
  snapshot: Snapshot,
  request: RouteRequest,
  { budget, pressure }: { readonly budget: BudgetStore; readonly pressure: PressureGauge },
): Promise<Snapshot> {
  try {
    const statuses = await inTime(budget, (store) => store.status(request.scopes ?? {}))
    return { ...snapshot, pressure: pressure(statuses, snapshot.at) }
  } catch (error) {
    // A budget that cannot say how it stands presses on nobody; whether it grants anything is its own affair.
    return { ...snapshot, pressure: { tiersDown: 0, because: messageOf(error) } }
  }
}

export interface Walking {
  readonly streamed: boolean
  /** Its signal is the call's, too. */
  readonly deadline: RunningDeadline | undefined
}

export async function startWalk(
  parts: RouterParts,
  request: RouteRequest,
  invocation: Invocation,
  { streamed, deadline }: Walking,
): Promise<Walk> {
  checkRequest(request, parts.tiers)
  const taken = takeSnapshot(parts, request)
  const { signal } = invocation
  const given = taken instanceof Promise ? await withSignal(taken, signal) : taken
  const { within = here } = invocation
  const planned = await within(() => makePlan(parts, request, given, { signal, takesTurn: true }))
  const { snapshot } = planned
  const id = parts.newId()
  const record = openRecord({
    id,
    request,
    snapshot,
    plan: planned.plan,
    streamed,
    baselines: parts.baselines,
    deployments: parts.deployments,
    now: parts.dispatch.now,
    tell: (event) => notify(parts.observers, event),
  })
  // A schema is of use only when it is whole, so nobody loses by waiting for it.
  const gate = invocation.gate ?? parts.gate ?? (request.responseFormat === undefined ? "off" : "full")
  const audience = audienceOf(invocation.config.callbacks)
  const rungs = new Map<Tier, Rung | undefined>()
  let { ceiling } = planned.plan.decision
  const nextRung = (tier: Tier): Rung | undefined => {
    if (!rungs.has(tier)) rungs.set(tier, rungAbove(parts, { request, planned }, tier, ceiling))
    return rungs.get(tier)
  }
  const lowerCeiling = (tier: Tier) => {
    ceiling = tier
    rungs.clear()
  }
  const callerAborted = () => signal?.aborted === true && deadline?.isOver() !== true
  return {
    request,
    invocation,
    snapshot,
    planned,
    record,
    streamed,
    gate,
    audience,
    nextRung,
    lowerCeiling,
    deadline,
    callerAborted,
  }
}

/** Where a call has no run of its own, its work is done where it stands. */
export function here<T>(work: () => Promise<T>): Promise<T> {
  return work()
}

function rungAbove(
  parts: RouterParts,
  { request, planned: { plan, snapshot: before } }: Pick<Walk, "request" | "planned">,
  from: Tier,
  ceiling: Tier,
): Rung | undefined {
  const { tiers } = parts
  const rung = tiers.indexOf(from) + 1
  const tier = tiers[rung]
  if (tier === undefined || rung > tiers.indexOf(ceiling)) return undefined
  const ranking = parts.traffic.rank(request.session, tier, true)
  const snapshot = ranking === undefined ? before : { ...before, ranking }
  const decision: RoutingDecision = { tier, reason: "escalated", because: "", floor: tier, ceiling }
  const { candidates } = findCandidates(parts, { request, features: plan.features, decision, snapshot })
  return candidates.length === 0 ? undefined : { decision, candidates }
}
