import type { Invocation } from "../langchain/call-model.ts"
import { type Audience, audienceOf } from "../langchain/curtain.ts"
import type { Candidate } from "../spec/catalog.ts"
import type { RoutingDecision, Snapshot } from "../spec/policy.ts"
import type { Gate, RouteRequest, Tier } from "../spec/request.ts"
import { notify } from "../telemetry/notify.ts"
import { checkRequest } from "./check-request.ts"
import { findCandidates, makePlan, type Planned } from "./make-plan.ts"
import { type OpenRecord, openRecord } from "./open-record.ts"
import type { RouterParts } from "./router-parts.ts"

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
}

export interface Rung {
  readonly decision: RoutingDecision
  readonly candidates: readonly Candidate[]
}

/** Everything with state is read once, so that the plan can be repeated from it. */
export function takeSnapshot({ dispatch: { now, random } }: RouterParts): Snapshot {
  return { at: now(), draw: random() }
}

export async function startWalk(
  parts: RouterParts,
  request: RouteRequest,
  invocation: Invocation,
  streamed: boolean,
): Promise<Walk> {
  checkRequest(request, parts.tiers)
  const snapshot = takeSnapshot(parts)
  const { within = here } = invocation
  const planned = await within(() => makePlan(parts, request, snapshot, invocation.config.signal))
  const id = parts.newId()
  const record = openRecord({
    id,
    request,
    snapshot,
    plan: planned.plan,
    streamed,
    baselineRates: parts.baselineRates,
    now: parts.dispatch.now,
    tell: (event) => notify(parts.observers, event),
  })
  // A schema is of use only when it is whole, so nobody loses by waiting for it.
  const gate = invocation.gate ?? parts.gate ?? (request.responseFormat === undefined ? "off" : "full")
  const audience = audienceOf(invocation.config.callbacks)
  const rungs = new Map<Tier, Rung | undefined>()
  const nextRung = (tier: Tier): Rung | undefined => {
    if (!rungs.has(tier)) rungs.set(tier, rungAbove(parts, { request, snapshot, planned }, tier))
    return rungs.get(tier)
  }
  return { request, invocation, snapshot, planned, record, streamed, gate, audience, nextRung }
}

/** Where a call has no run of its own, its work is done where it stands. */
export function here<T>(work: () => Promise<T>): Promise<T> {
  return work()
}

function rungAbove(
  parts: RouterParts,
  { request, snapshot, planned: { plan } }: Pick<Walk, "request" | "snapshot" | "planned">,
  from: Tier,
): Rung | undefined {
  const { tiers } = parts
  const { ceiling } = plan.decision
  const rung = tiers.indexOf(from) + 1
  const tier = tiers[rung]
  if (tier === undefined || rung > tiers.indexOf(ceiling)) return undefined
  const decision: RoutingDecision = { tier, reason: "escalated", because: "", floor: tier, ceiling }
  const { candidates } = findCandidates(parts, { request, features: plan.features, decision, snapshot })
  return candidates.length === 0 ? undefined : { decision, candidates }
}
