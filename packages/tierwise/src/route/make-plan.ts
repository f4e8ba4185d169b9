import { eligibility } from "../catalog/eligibility.ts"
import { isControlFlow } from "../dispatch/failures/classify-failure.ts"
import { withSignal } from "../dispatch/with-signal.ts"
import { readFeatures } from "../features/read-features.ts"
import { completionsPerCall } from "../langchain/limit-output.ts"
import { boundsOf, clampTier } from "../policy/bounds.ts"
import { downgrade } from "../policy/downgrade.ts"
import { orderCandidates } from "../pricing/order.ts"
import { mediaTokensOf, quote } from "../pricing/quote.ts"
import type { Candidate, Deployment, Exclusion } from "../spec/catalog.ts"
import type { ComplexityEstimate, EstimatorInput } from "../spec/complexity.ts"
import { messageOf } from "../spec/errors.ts"
import type { PolicyInput, RoutingDecision, Snapshot } from "../spec/policy.ts"
import type { RequestFeatures, RouteRequest } from "../spec/request.ts"
import type { Plan, Problem } from "../spec/telemetry.ts"
import type { RouterParts } from "./router-parts.ts"

/** A plan, with the deployments it names at hand. */
export interface Planned {
  readonly plan: Plan
  readonly candidates: readonly Candidate[]
  /** With who came first among equals: the plan can be repeated from it. */
  readonly snapshot: Snapshot
}

export interface Planning {
  readonly signal?: AbortSignal | undefined
  /** True for a call that is made: where deployments take turns, it takes one. */
  readonly takesTurn: boolean
}

/**
 * Rooms 1 to 5: what can be seen, how hard it is, which tier, who can, and what it may cost. Local, free, and a
 * function of request and snapshot alone, so that `explain` and the live call cannot disagree.
 */
export async function makePlan(
  parts: RouterParts,
  request: RouteRequest,
  { ranking: known, ...seen }: Snapshot,
  { signal, takesTurn }: Planning,
): Promise<Planned> {
  const { features, text } = readFeatures(request, parts.toolSizes)
  const problems: Problem[] = []
  const input = { features, text, request }
  const estimate = parts.routing ? await estimateOf(parts, input, problems, signal) : undefined
  const policyInput = { features, estimate, request, snapshot: seen, tiers: parts.tiers }
  const { pressure } = seen
  if (pressure?.tiersDown === 0) problems.push({ room: "budget", error: pressure.because })
  const decided = decide(parts, policyInput, problems)
  const decision = downgrade(decided, { pressure, features, tiers: parts.tiers })
  // Not before: of many calls that come in one moment, each is to see whom those before it have taken.
  const ranking = known ?? parts.traffic.rank(request.session, decision.tier, takesTurn)
  const snapshot = ranking === undefined ? seen : { ...seen, ranking }
  const { candidates, excluded } = findCandidates(parts, { request, features, decision, snapshot })
  const plan: Plan = {
    features,
    estimator: parts.estimator.name,
    estimate,
    decision,
    candidates: candidates.map(({ deployment: { id, tier }, quote, maxOutputTokens }) => ({
      deploymentId: id,
      tier,
      quote,
      maxOutputTokens,
    })),
    excluded,
    problems,
  }
  return { plan, candidates, snapshot }
}

export interface CandidateInput {
  readonly request: RouteRequest
  readonly features: RequestFeatures
  readonly decision: RoutingDecision
  readonly snapshot: Snapshot
}

/** Rooms 4 and 5 for one decision; an escalation comes back here with a higher one. */
export function findCandidates(
  parts: RouterParts,
  { request, features, decision, snapshot }: CandidateInput,
): { readonly candidates: readonly Candidate[]; readonly excluded: readonly Exclusion[] } {
  const { tiers, quoteInput, mediaTokens } = parts
  const { eligible, excluded } = eligibility({
    deployments: parts.deployments,
    features,
    request,
    floor: decision.floor,
    ceiling: decision.ceiling,
    tiers,
    defaultMaxOutputTokens: parts.maxOutputTokens,
    mediaTokens: mediaTokensOf(features, mediaTokens),
  })
  const quoteFor = (deployment: Deployment, maxOutputTokens: number) => {
    const completions = completionsPerCall(deployment.model)
    return quote(features, parts.ratesOf(deployment), {
      maxOutputTokens,
      quoteInput,
      mediaTokens,
      completions,
    })
  }
  const candidates = eligible.map(({ deployment, maxOutputTokens }) => ({
    deployment,
    maxOutputTokens,
    quote: quoteFor(deployment, maxOutputTokens),
  }))
  const sharedCap = Math.min(...candidates.map(({ maxOutputTokens }) => maxOutputTokens))
  const ordered = orderCandidates(candidates, {
    order: parts.order,
    priceOf: ({ deployment }) => quoteFor(deployment, sharedCap).money,
    decided: decision.tier,
    tiers,
    draw: snapshot.draw,
    ranking: snapshot.ranking,
  })
  return { candidates: ordered, excluded }
}

/** Undefined when the estimator failed: a routing failure never fails the request. */
async function estimateOf(
  { estimator }: RouterParts,
  input: EstimatorInput,
  problems: Problem[],
  signal: AbortSignal | undefined,
): Promise<ComplexityEstimate | undefined> {
  try {
    const given = estimator.estimate(input)
    const estimate = given instanceof Promise ? await withSignal(given, signal) : given
    const { score } = estimate
    if (score >= 0 && score <= 1) return estimate
    problems.push({ room: "complexity", error: `${estimator.name} gave a score of ${score}, not one in 0…1` })
  } catch (error) {
    if (signal?.aborted || isControlFlow(error)) throw error
    problems.push({ room: "complexity", error: `${estimator.name}: ${messageOf(error)}` })
  }
  return undefined
}

function decide(parts: RouterParts, input: PolicyInput, problems: Problem[]): RoutingDecision {
  if (!parts.routing && input.request.tier === undefined) {
    const tier = clampTier(parts.defaultTier, boundsOf(input.request.agentSpec, parts.tiers), parts.tiers)
    return { tier, reason: "off", because: "routing is off", floor: tier, ceiling: tier }
  }
  try {
    const decision = parts.policy.decide(input)
    const unknown = [decision.tier, decision.floor, decision.ceiling].find(
      (tier) => !parts.tiers.includes(tier),
    )
    if (unknown === undefined) return decision
    problems.push({ room: "policy", error: `the policy chose "${unknown}", which is not a tier` })
  } catch (error) {
    // A policy that misses the estimate has no problem of its own: the estimator's is on the list already.
    if (problems.every(({ room }) => room === "budget"))
      problems.push({ room: "policy", error: messageOf(error) })
  }
  return defaultDecision(parts, input.request)
}

/** The default tier, as far as the call's own pin and bounds allow. */
function defaultDecision(
  { tiers, defaultTier }: RouterParts,
  { tier, agentSpec }: RouteRequest,
): RoutingDecision {
  const bounds = boundsOf(tier === undefined ? agentSpec : { tier }, tiers)
  return {
    tier: clampTier(defaultTier, bounds, tiers),
    reason: "default",
    because: "the estimate or the policy failed",
    ...bounds,
  }
}
