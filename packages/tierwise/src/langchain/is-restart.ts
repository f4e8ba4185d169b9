import { AIMessageChunk } from "@langchain/core/messages"
import type { StreamBrokenError } from "../spec/errors.ts"

/** In the metadata of the chunk, a number: LangChain adds the numbers of chunks that it joins. */
export const RESTARTS = "tierwise_restarts"

/**
 * All that the mark has for content. It is no text: LangChain's parsers refuse it where they would put the words of two models
 * together, and what joins messages keeps it between them.
 */
const RESTART_BLOCK = "tierwise_restart"

/** Without a prototype, so that adding it to a text throws instead of leaving "[object Object]" there. */
const BLOCK = Object.freeze({ __proto__: null, type: RESTART_BLOCK })

/**
 * True for the chunk after which a stream begins anew (`midStream: "restart"`): forget all that came before it, it was an
 * answer that broke off.
 */
export function isRestart(chunk: Pick<AIMessageChunk, "response_metadata">): boolean {
  return typeof chunk.response_metadata[RESTARTS] === "number"
}

/**
 * The chunk after which a stream begins anew. It has no words, and chunks that are joined to it do not keep its block.
 *
 * @param broken For readers who cannot forget.
 */
export function restartMark(broken: StreamBrokenError): AIMessageChunk {
  const mark = markOf([BLOCK])
  Object.defineProperty(mark, BREAK, { value: broken })
  return joinedBy(mark, (next) => forgetful(markOf("")).concat(next))
}

const BREAK = Symbol("tierwise.break")

/** What a mark stands for; undefined for a chunk that is none. A copy of a mark has lost it. */
export function breakBehind(chunk: AIMessageChunk): StreamBrokenError | undefined {
  return (chunk as { readonly [BREAK]?: StreamBrokenError })[BREAK]
}

/**
 * The same chunk, the first of a stream that may begin anew: whoever joins the stream to it, as LangChain's chains do, has in the
 * end what came after the last restart.
 */
export function forgetful(first: AIMessageChunk): AIMessageChunk {
  // Its class's own: to be told twice changes nothing.
  const ofItsClass = Object.getPrototypeOf(first) as AIMessageChunk
  return joinedBy(first, (next) => forgetful(ofItsClass.concat.call(first, next)))
}

/** Of the pieces of a stream those that its answer consists of, with the mark before them if it began anew. */
export function sinceRestart<P>(pieces: readonly P[], messageOf: (piece: P) => Marked): readonly P[] {
  const last = pieces.findLastIndex((piece) => isRestart(messageOf(piece)))
  return last <= 0 ? pieces : pieces.slice(last)
}

/** The mark is for who reads along: of the whole answer it says nothing any more. */
export function withoutRestarts<M extends Marked>(message: M): M {
  if (isRestart(message)) delete message.response_metadata[RESTARTS]
  return message
}

type Marked = Pick<AIMessageChunk, "response_metadata">

function markOf(content: AIMessageChunk["content"]): AIMessageChunk {
  return new AIMessageChunk({ content, response_metadata: { [RESTARTS]: 1 } })
}

function joinedBy(chunk: AIMessageChunk, join: (next: AIMessageChunk) => AIMessageChunk): AIMessageChunk {
  const value = (next: AIMessageChunk) => (isRestart(next) ? begunAnewAt(next) : join(next))
  // Not enumerable: who copies a message or writes it down takes its fields.
  return Object.defineProperty(chunk, "concat", { value, configurable: true, writable: true })
}

/** What is left when all before is forgotten: of a bare mark nothing, of chunks that were joined to one what they say. */
function begunAnewAt(restart: AIMessageChunk): AIMessageChunk {
  const { content } = restart
  const isBare = typeof content !== "string" && content.some(({ type }) => type === RESTART_BLOCK)
  return forgetful(isBare ? markOf("") : restart)
}
