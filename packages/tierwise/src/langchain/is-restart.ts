import type { AIMessageChunk } from "@langchain/core/messages"

/**
 * True for the chunk after which a stream begins anew (`midStream: "restart"`): forget all that came before it, it was an
 * answer that broke off.
 */
export function isRestart(chunk: Pick<AIMessageChunk, "response_metadata">): boolean {
  return typeof chunk.response_metadata["tierwise_restarts"] === "number"
}
