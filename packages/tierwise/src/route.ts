import type { AIMessageChunk } from "@langchain/core/messages"
import { classifyFailure } from "./dispatch/classify-failure.ts"
import { dispatch } from "./dispatch/dispatch.ts"
import type { DispatchCandidate } from "./dispatch/dispatch-options.ts"
import { withSignal } from "./dispatch/with-signal.ts"
import { callModel, hasContent, type Invocation, type Piece } from "./langchain/call-model.ts"
import { completionsPerCall } from "./langchain/limit-output.ts"
import { checkRequest } from "./route/check-request.ts"
import { holdMoney } from "./route/hold-money.ts"
import { findCandidates, makePlan, type Planned } from "./route/make-plan.ts"
import { meterAnswer } from "./route/meter-answer.ts"
import { type OpenRecord, openRecord } from "./route/open-record.ts"
import type { RouterParts } from "./route/router-parts.ts"
import type { Candidate } from "./spec/catalog.ts"
import { messageOf, NoEligibleDeploymentError } from "./spec/errors.ts"
import type { RoutingDecision, Snapshot } from "./spec/policy.ts"
import type { RouteRequest, Tier } from "./spec/request.ts"
import type { Plan, RouteRecord } from "./spec/telemetry.ts"
import type { Answer, Verdict } from "./spec/validation.ts"
import { notify } from "./telemetry/notify.ts"

/** An answer with its whole story. */
export interface Routed {
  readonly answer: Answer
  readonly record: RouteRecord
}

/** The hall: it has no opinions, it walks a request from room to room and writes down what happened. */
export interface Hall {
  /** What would be done, without calling anybody. */
  plan(request: RouteRequest, snapshot?: Snapshot): Promise<Plan>
  generate(request: RouteRequest, invocation: Invocation): Promise<Routed>
  /** Yields the chunks as they come; returns them joined, with the record, when the stream has closed. */
  stream(request: RouteRequest, invocation: Invocation): AsyncGenerator<AIMessageChunk, Routed, undefined>
}

/** A candidate as dispatch knows it. */
type Callee = DispatchCandidate & { readonly candidate: Candidate }

interface Walk {
  readonly request: RouteRequest
  readonly invocation: Invocation
  readonly snapshot: Snapshot
  readonly planned: Planned
  readonly record: OpenRecord
  readonly streamed: boolean
}

/** An answer in hand, and who gave it. */
interface Served {
  readonly answer: Answer
  readonly by: { readonly deploymentId: string; readonly tier: Tier }
}

export function createHall(parts: RouterParts): Hall {
  return {
    async plan(request, snapshot) {
      checkRequest(request, parts.tiers)
      return (await makePlan(parts, request, snapshot ?? takeSnapshot(parts))).plan
    },

    async generate(request, invocation) {
      const walk = await startWalk(parts, request, invocation, false)
      try {
        const served = await climb(parts, walk)
        return { answer: served.answer, record: walk.record.close(served.by, undefined) }
      } catch (error) {
        walk.record.close(undefined, error)
        throw error
      }
    },

    async *stream(request, invocation) {
      const walk = await startWalk(parts, request, invocation, true)
      let whole: AIMessageChunk | undefined
      let outcome: { by?: Served["by"]; error?: unknown } = { error: new Error("the reader stopped reading") }
      let record: RouteRecord
      try {
        for await (const { message } of callInOrder(parts, walk, walk.planned.candidates)) {
          const chunk = message as AIMessageChunk
          whole = whole === undefined ? chunk : whole.concat(chunk)
          yield chunk
        }
        const served = servedBy(walk, whole && { message: whole })
        // What has been read cannot be taken back: a stream is judged for the record only.
        await judge(parts, walk, served)
        outcome = { by: served.by }
      } catch (error) {
        outcome = { error: error ?? new Error("nothing was thrown, but thrown it was") }
        throw error
      } finally {
        record = walk.record.close(outcome.by, outcome.error)
      }
      return { answer: { message: whole as AIMessageChunk }, record }
    },
  }
}

/** Everything with state is read once, so that the plan can be repeated from it. */
function takeSnapshot({ dispatch: { now, random } }: RouterParts): Snapshot {
  return { at: now(), draw: random() }
}

async function startWalk(
  parts: RouterParts,
  request: RouteRequest,
  invocation: Invocation,
  streamed: boolean,
): Promise<Walk> {
  checkRequest(request, parts.tiers)
  const snapshot = takeSnapshot(parts)
  const planned = await makePlan(parts, request, snapshot, invocation.config.signal)
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
  return { request, invocation, snapshot, planned, record, streamed }
}

/** Asks the planned candidates; while the answer is rejected and there is a tier above, asks that one. */
async function climb(parts: RouterParts, walk: Walk): Promise<Served> {
  let { candidates } = walk.planned
  let inHand: Served | undefined
  for (;;) {
    try {
      inHand = await serve(parts, walk, candidates)
    } catch (error) {
      // An answer in hand, even a poor one, beats an error; but nobody overrules an abort or an interrupt.
      if (inHand === undefined || !isFailure(error, walk)) throw error
      walk.record.problem({ room: "dispatch", error: `the escalation failed: ${messageOf(error)}` })
      return inHand
    }
    const verdict = await judge(parts, walk, inHand)
    if (verdict.accepted) return inHand
    const decision = escalation(parts, walk, inHand.by.tier, verdict.reason)
    if (decision === undefined) return inHand
    const { request, snapshot, planned } = walk
    candidates = findCandidates(parts, {
      request,
      features: planned.plan.features,
      decision,
      snapshot,
    }).candidates
    if (candidates.length === 0) return inHand
    walk.record.escalated(decision)
  }
}

async function serve(parts: RouterParts, walk: Walk, candidates: readonly Candidate[]): Promise<Served> {
  let answer: Answer | undefined
  for await (const piece of callInOrder(parts, walk, candidates)) answer = piece
  return servedBy(walk, answer)
}

function servedBy({ record }: Walk, answer: Answer | undefined): Served {
  const by = record.answeredBy()
  if (answer === undefined || by === undefined)
    throw new TypeError("a model ended its call without an answer")
  return { answer, by }
}

/** Room 6 with everything it needs of the others: money, the model, the meter, the record. */
function callInOrder(
  parts: RouterParts,
  walk: Walk,
  candidates: readonly Candidate[],
): AsyncGenerator<Piece, void, undefined> {
  const { request, invocation, record, planned, streamed } = walk
  if (candidates.length === 0) throw new NoEligibleDeploymentError(planned.plan.excluded)
  const { budget } = parts
  const money = budget && {
    budget,
    scopes: request.scopes ?? {},
    signal: invocation.config.signal,
    onProblem: (error: unknown) => record.problem({ room: "budget", error: messageOf(error) }),
  }
  return dispatch<Callee, Piece>({
    candidates: candidates.map((candidate) => ({ ...targetOf({ candidate }), candidate })),
    signal: invocation.config.signal,
    settings: parts.dispatch,
    hold: money && (({ candidate }) => holdMoney(money, candidate)),
    meter: ({ candidate: { deployment, quote, maxOutputTokens } }) =>
      meterAnswer({
        features: planned.plan.features,
        rates: parts.ratesOf(deployment),
        quote,
        maxOutputTokens: maxOutputTokens * completionsPerCall(deployment.model),
      }),
    opens: hasContent,
    isProvider: () => true,
    call: ({ candidate }, signal) => {
      const model = parts.limitOutput(candidate.deployment.model, candidate.maxOutputTokens)
      return callModel({ model, request, invocation: tagged(invocation, candidate), streamed, signal })
    },
    onStart: (target) =>
      notify(parts.observers, { type: "attempt-started", id: record.id, ...targetOf(target) }),
    onAttempt: (attempt) => record.attempted(attempt),
  })
}

async function judge(
  { validator }: RouterParts,
  { record, request, invocation }: Walk,
  { answer, by }: Served,
): Promise<Verdict> {
  const { signal } = invocation.config
  let verdict: Verdict = { accepted: true }
  try {
    const judged = await withSignal(Promise.resolve(validator.validate(answer, request)), signal)
    if (typeof (judged as Verdict | undefined)?.accepted !== "boolean")
      throw new TypeError("it gave no verdict")
    verdict = judged
  } catch (error) {
    if (signal?.aborted) throw error
    record.problem({ room: "validation", error: `${validator.name}: ${messageOf(error)}` })
  }
  record.judged({ ...by, verdict })
  return verdict
}

/** The decision for the next tier up, or undefined at the ceiling. */
function escalation(
  { tiers }: RouterParts,
  walk: Walk,
  from: Tier,
  because: string,
): RoutingDecision | undefined {
  const { ceiling } = walk.planned.plan.decision
  const rung = tiers.indexOf(from) + 1
  const tier = tiers[rung]
  if (tier === undefined || rung > tiers.indexOf(ceiling)) return undefined
  return { tier, reason: "escalated", because, floor: tier, ceiling }
}

/** True for what an answer in hand may stand in for. */
function isFailure(error: unknown, { invocation }: Walk): boolean {
  const callerAborted = invocation.config.signal?.aborted ?? false
  const kind = classifyFailure(error, { callerAborted, timedOut: false, fromProvider: false })
  return kind !== "aborted" && kind !== "control-flow" && kind !== "defect"
}

function tagged(invocation: Invocation, { deployment }: Candidate): Invocation {
  const { config } = invocation
  return {
    ...invocation,
    config: {
      ...config,
      tags: [...(config.tags ?? []), `tierwise:tier:${deployment.tier}`],
      metadata: { ...config.metadata, tierwise_deployment: deployment.id },
    },
  }
}

function targetOf({ candidate: { deployment } }: { candidate: Candidate }): DispatchCandidate {
  return { deploymentId: deployment.id, tier: deployment.tier }
}
