import type { AIMessageChunk } from "@langchain/core/messages"

/** In the metadata of the chunk, a number: LangChain adds the numbers of chunks that it joins. */
export const RESTARTS = "tierwise_restarts"

/**
 * True for the chunk after which a stream begins anew (`midStream: "restart"`): forget all that came before it, it was an
 * answer that broke off.
 */
export function isRestart(chunk: Pick<AIMessageChunk, "response_metadata">): boolean {
  return typeof chunk.response_metadata[RESTARTS] === "number"
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
