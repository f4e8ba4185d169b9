import { AIMessage, AIMessageChunk, HumanMessage } from "@langchain/core/messages"
import { readFeatures } from "../features/read-features.ts"
import { restartMark } from "../langchain/is-restart.ts"
import type { Piece } from "../langchain/piece.ts"
import { StreamBrokenError } from "../spec/errors.ts"
import type { Recovery } from "../spec/telemetry.ts"
import { joinPieces } from "./call-in-order.ts"
import { findCandidates } from "./make-plan.ts"
import type { RouterParts } from "./router-parts.ts"
import type { Rung, Walk } from "./walk.ts"

/** How a request goes on whose answer broke off after somebody had words of it. */
export interface GoingOn extends Recovery {
  /** The request as the next one is asked it. */
  readonly walk: Walk
  readonly rung: Rung
  /** What the new words follow; undefined: they are an answer of their own. */
  readonly before: Piece | undefined
  /** For the reader of a stream; undefined: the words went to handlers. */
  readonly marker: Piece | undefined
}

/** What another model is told that is to go on. */
const GO_ON =
  "The answer above was cut off by a fault. Go on exactly where it ends, with the next word. Repeat nothing of it, and do not say that you go on."

/**
 * What follows for a router whose `midStream` is not `error`. Undefined: nothing can; the reader is told.
 *
 * @param pieces What was read.
 * @param broken What the reader is told if nothing can.
 */
export function goOn(
  parts: RouterParts,
  walk: Walk,
  { decision, candidates }: Rung,
  pieces: readonly Piece[],
  broken: StreamBrokenError,
): GoingOn | undefined {
  const { midStream, dispatch } = parts
  const failed = failuresOf(walk)
  const last = failed.at(-1)
  if (midStream === "error" || last === undefined || !dispatch.handling[last.failure].fallback)
    return undefined
  const gone = new Set(failed.map(({ deploymentId }) => deploymentId))
  if (gone.size > dispatch.maxFallbackAttempts) return undefined
  const others = (rung: Rung): Rung => ({
    decision,
    candidates: rung.candidates.filter(({ deployment }) => !gone.has(deployment.id)),
  })
  const { deploymentId, failure } = last
  const before = walk.streamed ? joinPieces(pieces) : undefined
  if (before !== undefined && hasToolCall(before)) return undefined
  if (midStream === "continue" && before !== undefined) {
    const text = wordsOf(before)
    if (text === undefined || walk.request.responseFormat !== undefined) return undefined
    const next = continuation(parts, walk, text, before)
    const rung = others(next.rung)
    if (rung.candidates.length === 0) return undefined
    const { id } = before.message
    const said = new AIMessageChunk({ content: text, ...(id !== undefined && { id }) })
    const marker = continuationMark(id)
    return {
      deploymentId,
      failure,
      how: "continued",
      walk: next.walk,
      rung,
      before: { message: said },
      marker,
    }
  }
  const rung = others({ decision, candidates })
  if (rung.candidates.length === 0) return undefined
  const marker = walk.streamed ? { message: restartMark(broken) } : undefined
  return { deploymentId, failure, how: "restarted", walk, rung, before: undefined, marker }
}

/** Without those that lost a race and were cancelled: nothing is wrong with them. */
function failuresOf({ record }: Pick<Walk, "record">) {
  return record
    .attempts()
    .filter((attempt) => attempt.outcome === "failed")
    .filter(({ failure }) => failure !== "aborted")
}

/** The error for a reader who has words of an answer that is not whole. */
export function brokenStream(
  { record, streamed }: Walk,
  pieces: readonly Piece[],
  error: unknown,
): StreamBrokenError {
  const last = failuresOf({ record }).at(-1)
  const partial = streamed && pieces.length > 0 ? (wordsOf(joinPieces(pieces)) ?? "") : ""
  const { deploymentId = "", failure = "unknown" } = last ?? {}
  return new StreamBrokenError({ deploymentId, failure, partial, cost: record.cost() }, error)
}

/** The break that nobody went on with, told when that is known: who was asked to has cost something too. */
export function stillBroken({ record }: Walk, broken: StreamBrokenError): StreamBrokenError {
  const { deploymentId, failure, partial, cause } = broken
  return new StreamBrokenError({ deploymentId, failure, partial, cost: record.cost() }, cause)
}

/** The same conversation with the beginning of its answer; it is longer, and is quoted anew. */
function continuation(parts: RouterParts, walk: Walk, text: string, { message: { id } }: Piece) {
  const { planned, snapshot, invocation } = walk
  const { decision } = planned.plan
  const messages = [...walk.request.messages, new AIMessage(text), new HumanMessage(GO_ON)]
  const request = { ...walk.request, messages }
  const { features } = readFeatures(request, parts.toolSizes)
  const { candidates } = findCandidates(parts, { request, features, decision, snapshot })
  const plan = { ...planned.plan, features }
  const next: Walk = {
    ...walk,
    request,
    planned: { plan, candidates, snapshot },
    invocation: { ...invocation, ...(id !== undefined && { messageId: id }) },
  }
  return { walk: next, rung: { decision, candidates } }
}

/** The text of an answer that is nothing else. */
function wordsOf({ message: { content } }: Piece): string | undefined {
  if (typeof content === "string") return content
  const isText = content.every((block) => block.type === "text")
  return isText ? content.map((block) => block["text"] as string).join("") : undefined
}

function hasToolCall({ message }: Piece): boolean {
  const { tool_call_chunks: chunks } = message as { tool_call_chunks?: readonly unknown[] }
  return (chunks ?? message.tool_calls ?? []).length > 0
}

/** No words, but a number: LangChain adds the numbers of chunks that it joins. */
function continuationMark(id: string | undefined): Piece {
  const fields = {
    content: "",
    response_metadata: { tierwise_continuations: 1 },
    ...(id !== undefined && { id }),
  }
  return { message: new AIMessageChunk(fields) }
}
