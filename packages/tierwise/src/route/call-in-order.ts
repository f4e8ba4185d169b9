import { AIMessage, type AIMessageChunk } from "@langchain/core/messages"
import { REQUEST_SCOPE } from "../budget/limits.ts"
import { dispatch } from "../dispatch/dispatch.ts"
import type { DispatchCandidate } from "../dispatch/dispatch-options.ts"
import type { Relay } from "../dispatch/relay.ts"
import { callModel, type Invocation } from "../langchain/call-model.ts"
import { type Curtain, curtain, whenShown } from "../langchain/curtain.ts"
import { whenSaidWhy } from "../langchain/finish-reason.ts"
import { sinceRestart } from "../langchain/is-restart.ts"
import { joinChunks } from "../langchain/join-chunks.ts"
import { completionsPerCall } from "../langchain/limit-output.ts"
import { hasContent, type Piece } from "../langchain/piece.ts"
import type { Candidate } from "../spec/catalog.ts"
import { messageOf, NoEligibleDeploymentError } from "../spec/errors.ts"
import { notify } from "../telemetry/notify.ts"
import { askAfterRefusal, weakerThan } from "./after-refusal.ts"
import { holdMoney } from "./hold-money.ts"
import { meterAnswer } from "./meter-answer.ts"
import type { RouterParts } from "./router-parts.ts"
import type { Callee } from "./traffic.ts"
import type { Rung, Walk } from "./walk.ts"

/** A piece of an answer, or the rest of a stream, to be read directly. */
export interface Heard extends Piece {
  readonly live?: Relay<Heard> | undefined
}

/** The pieces of whoever answers first, and what stands between them and those who read along. */
export interface Calling {
  readonly pieces: AsyncGenerator<Heard, void, undefined>
  /** What hides the words of the latest attempt from handlers; undefined: nothing does. */
  curtain(): Curtain | undefined
}

const NO_WORDS = new AIMessage("")

/**
 * What the pieces of a stream add up to. One that ends in words that do not parse keeps the words. Where a router among the
 * models has begun anew, what came before is no part of its answer.
 */
export function joinPieces(all: readonly Piece[]): Piece {
  const pieces = sinceRestart(all, ({ message }) => message)
  const last = pieces.at(-1) as Piece
  if (pieces.length === 1) return last
  const message = joinChunks(pieces.map((piece) => piece.message as AIMessageChunk)) as AIMessageChunk
  return last.parseError === undefined ? { message } : { message, parseError: last.parseError }
}

/** Room 6 with everything it needs of the others: money, the model, the meter, the record. */
export function callInOrder(
  parts: RouterParts,
  walk: Walk,
  { decision, candidates }: Rung,
  onCurtain: (curtain: Curtain) => void,
): Calling {
  const { request, invocation, record, planned, streamed, audience } = walk
  if (candidates.length === 0) throw new NoEligibleDeploymentError(planned.plan.excluded)
  const { budget, requestIdHeader } = parts
  const { signal } = invocation
  // A caller's own `request` may span several calls.
  const scopes = { [REQUEST_SCOPE]: record.id, ...request.scopes }
  const money = budget && {
    budget,
    scopes,
    signal,
    onProblem: (error: unknown) => record.problem({ room: "budget", error: messageOf(error) }),
    looseEnds: parts.looseEnds,
  }
  const settings =
    invocation.maxRetries === undefined
      ? parts.dispatch
      : { ...parts.dispatch, maxRetries: invocation.maxRetries }
  // Where nobody reads along there is nothing to hide.
  const canBeGated = walk.gate === "full" && (streamed || audience !== undefined)
  const isGated = ({ candidate }: Callee) =>
    canBeGated && walk.nextRung(candidate.deployment.tier) !== undefined
  const weaker = new Set(weakerThan(decision, candidates, parts))
  const question = askAfterRefusal(parts, walk, { decision, weaker: [...weaker] })
  let hiding: Curtain | undefined
  const saidWhy = new Set<Callee>()

  const pieces = dispatch<Callee, Heard>({
    candidates: candidates.map((candidate) => ({ ...targetOf({ candidate }), candidate })),
    signal,
    deadline: walk.deadline,
    ...parts.traffic.rules(request, planned.plan.features),
    // Who reads along would be shown the words of both.
    hedge: audience === undefined ? parts.traffic.hedging : undefined,
    settings,
    hold: money && (({ candidate }) => holdMoney(money, candidate)),
    isWeaker: ({ candidate }) => weaker.has(candidate),
    whenRefused: (refused) => question.ask(refused),
    meter: ({ candidate: { deployment, quote, maxOutputTokens } }) => {
      const completions = completionsPerCall(deployment.model)
      return meterAnswer({
        features: planned.plan.features,
        rates: parts.ratesOf(deployment),
        quote,
        maxOutputTokens: maxOutputTokens * completions,
        completions,
      })
    },
    opens: hasContent,
    finishes: (callee, piece) =>
      saidWhy.has(callee) || parts.finishReasons.isWhole(callee.candidate.deployment.model, piece),
    holdsBack: (callee) => isGated(callee) || (!streamed && audience === undefined),
    ...(streamed && { handOver: { pieceOf: (live) => ({ message: NO_WORDS, live }), join: joinPieces } }),
    isProvider: () => true,
    call: (callee, callSignal, holdId, heard) => {
      const { candidate } = callee
      const model = parts.limitOutput(candidate.deployment.model, candidate.maxOutputTokens)
      let callbacks = invocation.config.callbacks
      let shown: Promise<void> | undefined
      hiding = audience && isGated(callee) ? curtain(audience) : undefined
      if (hiding !== undefined) {
        onCurtain(hiding)
        callbacks = hiding.callbacks
      } else if (audience !== undefined && !streamed) {
        const { promise, resolve } = Promise.withResolvers<void>()
        callbacks = whenShown(audience, resolve, heard)
        shown = promise
      }
      if (audience !== undefined && !streamed) {
        callbacks = whenSaidWhy(callbacks, () => saidWhy.add(callee))
      }
      const tagged = taggedFor(candidate, invocation, { callbacks, ledger: budget?.name })
      const { id: deploymentId } = candidate.deployment
      return callModel({
        model,
        deploymentId,
        request,
        scopes,
        invocation: tagged,
        streamed,
        shown,
        signal: callSignal,
        maxOutputTokens: candidate.maxOutputTokens,
        headers:
          requestIdHeader === undefined || holdId === undefined ? undefined : { [requestIdHeader]: holdId },
      })
    },
    onStart: (callee) => {
      question.started(callee.candidate)
      notify(parts.observers, { type: "attempt-started", id: record.id, ...targetOf(callee) })
    },
    onAttempt: (attempt) => record.attempted(attempt),
  })
  return {
    pieces,
    curtain: () => hiding,
  }
}

function taggedFor(
  { deployment }: Candidate,
  invocation: Invocation,
  { callbacks, ledger }: { callbacks: Invocation["config"]["callbacks"]; ledger: string | undefined },
): Invocation {
  const { config } = invocation
  return {
    ...invocation,
    config: {
      ...config,
      ...(callbacks && { callbacks }),
      tags: [...(config.tags ?? []), `tierwise:tier:${deployment.tier}`],
      metadata: {
        ...config.metadata,
        tierwise_deployment: deployment.id,
        ...ledgerMark(ledger, config.metadata),
      },
    },
  }
}

/**
 * Tells handlers that count money whose money is counted already. A router around this one has marked its own call of us,
 * which is free to it: for the calls that are made here it holds nothing.
 */
function ledgerMark(
  ledger: string | undefined,
  inherited: Readonly<Record<string, unknown>> = {},
): { readonly tierwise_ledger?: string | null } {
  if (ledger !== undefined) return { tierwise_ledger: ledger }
  return inherited["tierwise_ledger"] === undefined ? {} : { tierwise_ledger: null }
}

function targetOf({ candidate: { deployment } }: { candidate: Candidate }): DispatchCandidate {
  return { deploymentId: deployment.id, tier: deployment.tier }
}
