import type { AIMessage } from "@langchain/core/messages"
import { copyOf } from "./history-copy.ts"
import type { Dialect } from "./history-origin.ts"

type Block = Readonly<Record<string, unknown>> & { readonly type?: unknown }

/**
 * A model's own reply, for itself: untouched, unless it is in LangChain's standard blocks (`outputVersion: "v1"`). Of
 * those that have been streamed, packages send back arguments that are missing and thinking without its signature; in
 * the provider's own blocks they send what the provider has said.
 */
export function ownReply(reply: AIMessage, dialect: Dialect | undefined): AIMessage {
  const { output_version, ...response_metadata } = reply.response_metadata
  if (output_version !== "v1" || typeof reply.content === "string") return reply
  // The Responses API's items are all there; chat completions have none, and send standard blocks well.
  if (dialect === "openai")
    return isFilled(response_metadata["output"]) ? copyOf(reply, { response_metadata }) : reply
  if (dialect !== "anthropic") return reply
  return copyOf(reply, { content: anthropicBlocks(reply.content), response_metadata })
}

function isFilled(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0
}

/**
 * Thinking and words in Anthropic's blocks. Its package adds the calls; what its own tools have found cannot be written
 * again, because standard blocks do not keep what is encrypted in it.
 */
function anthropicBlocks(blocks: readonly Block[]): readonly Block[] {
  const own: Block[] = []
  for (const block of blocks) {
    const { type, text, reasoning, signature } = block
    const { index: _, ...value } = (block["value"] ?? {}) as Block
    if (type === "text") own.push({ type, text })
    else if (type === "reasoning") own.push({ type: "thinking", thinking: reasoning, signature })
    else if (type === "non_standard" && value.type === "thinking") sign(own, value)
    else if (type === "non_standard") own.push(value)
  }
  return own.filter(isSendable)
}

/** A signature is streamed after its thinking, and stays apart from it in standard blocks. */
function sign(own: Block[], { signature }: Block): void {
  const last = own.findLastIndex(({ type }) => type === "thinking")
  if (last !== -1) own[last] = { ...own[last], signature }
}

function isSendable({ type, text, signature }: Block): boolean {
  if (type === "text") return typeof text === "string" && text.trim() !== ""
  return type !== "thinking" || (typeof signature === "string" && signature !== "")
}
