import type { AIMessageChunk } from "@langchain/core/messages"
import { canonicalJson } from "../cache/plain-json.ts"
import type { Flight } from "../cache/response-cache.ts"
import type { Invocation } from "../langchain/call-model.ts"
import { parseAgain } from "../langchain/parse-again.ts"
import type { Piece } from "../langchain/piece.ts"
import { RecalledModel } from "../langchain/recalled-model.ts"
import { type ReplyMetadata, recalledMetadata, withReplyMetadata } from "../langchain/reply.ts"
import type { RouteRequest } from "../spec/request.ts"
import { notify } from "../telemetry/notify.ts"
import { joinPieces } from "./call-in-order.ts"
import { checkRequest } from "./check-request.ts"
import type { Words } from "./climb.ts"
import type { Routed } from "./routed.ts"
import type { RouterParts } from "./router-parts.ts"

/** What the cache knows of a call: its answer, or nothing, with the duty to tell it the answer that is made. */
export type Recall =
  | { readonly hit: Routed }
  | {
      readonly hit?: undefined
      /** Call it with the answer, if there is one, and `abandon` on every way out. */
      readonly keep: (routed: Routed) => Promise<void>
      /** Those who asked the same need not wait any longer. */
      readonly release: () => void
      readonly abandon: () => void
    }

const NOT_CACHED: Recall = { keep: async () => {}, release: () => {}, abandon: () => {} }

/** Asks the cache, before anybody has decided, held money or called. */
export async function recall(
  parts: RouterParts,
  request: RouteRequest,
  invocation: Invocation,
): Promise<Recall> {
  const { cache } = parts
  if (cache === undefined) return NOT_CACHED
  // A request that would be refused is refused, whatever a cache may hold.
  checkRequest(request, parts.tiers)
  const { callOptions, structured } = invocation
  const schema = structured && { schema: request.responseFormat?.schema, config: structured.config }
  const key = cache.keyOf({ request, callOptions, structured: schema })
  if (key === undefined) return NOT_CACHED
  const recalled = await cache.recall(key, invocation.signal)
  if ("miss" in recalled) {
    const { miss } = recalled
    return {
      keep: (routed) => keep(miss, routed, request, structured),
      release: () => miss.release(),
      abandon: () => miss.abandon(),
    }
  }
  const { hit } = recalled
  const reply = hit.response_metadata["tierwise"] as ReplyMetadata | undefined
  // The copy is ours; the door adds this call's metadata to the model's own.
  delete hit.response_metadata["tierwise"]
  const answer = await parseAgain(hit, structured, request.responseFormat?.name)
  if (answer === undefined || reply === undefined) return NOT_CACHED
  const { id, tier, deployment: deploymentId } = reply
  const at = parts.dispatch.now()
  notify(parts.observers, {
    type: "answer-recalled",
    id,
    at,
    scopes: request.scopes ?? {},
    deploymentId,
    tier,
  })
  return { hit: { answer, reply } }
}

/**
 * Kept as it will be given again. An answer that nobody was content with is not, nor one that would not be read again as it
 * was read now.
 */
async function keep(
  flight: Flight,
  { answer, reply }: Routed,
  { responseFormat }: RouteRequest,
  structured: Invocation["structured"],
): Promise<void> {
  if (reply.rejected !== undefined || answer.parseError !== undefined) return flight.abandon()
  const message = withReplyMetadata(answer.message, recalledMetadata(reply))
  const again = await parseAgain(message, structured, responseFormat?.name)
  const isSame = again !== undefined && areAlike(again.parsed, answer.parsed)
  if (isSame) flight.keep(message)
  else flight.abandon()
}

/** What JSON cannot tell apart, such as dates, is like nothing else. */
function areAlike(a: unknown, b: unknown): boolean {
  const [one, other] = [canonicalJson(a), canonicalJson(b)]
  return one === undefined ? a === b : one === other
}

/** The recalled answer as an LLM run of its own, for whoever listens. */
export async function sayAgain(
  { answer, reply }: Routed,
  { messages }: RouteRequest,
  { config }: Invocation,
): Promise<Routed> {
  if (config.callbacks === undefined) return { answer, reply }
  const message = await new RecalledModel(answer.message).invoke([...messages], runConfig(config, reply))
  return { answer: { ...answer, message }, reply }
}

/** The same as a stream. */
export async function* streamAgain(
  { answer, reply }: Routed,
  { messages }: RouteRequest,
  { config }: Invocation,
): AsyncGenerator<Words, Routed, undefined> {
  const pieces: Piece[] = []
  const model = new RecalledModel(answer.message)
  for await (const chunk of await model.stream([...messages], runConfig(config, reply)))
    pieces.push({ message: withId(chunk) })
  yield pieces
  return { answer: { ...answer, ...joinPieces(pieces) }, reply }
}

/** A reader of chunks tells messages apart by their ids; LangChain gives one only where somebody listens. */
function withId(chunk: AIMessageChunk): AIMessageChunk {
  if (chunk.id === undefined) chunk._updateId(`run-${crypto.randomUUID()}`)
  return chunk
}

function runConfig(config: Invocation["config"], { tier, deployment }: ReplyMetadata): Invocation["config"] {
  const tags = [...(config.tags ?? []), "tierwise:cached", `tierwise:tier:${tier}`]
  return { ...config, tags, metadata: { ...config.metadata, tierwise_deployment: deployment } }
}
