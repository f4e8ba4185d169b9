import type { AIMessage, AIMessageChunk, UsageMetadata } from "@langchain/core/messages"
import type { Usage } from "../spec/usage.ts"

/**
 * What the provider reported on a message, or undefined if it reported nothing that can be believed: a count that is
 * missing, negative or no number would turn into money.
 */
export function reportedUsage(message: AIMessage | AIMessageChunk): Usage | undefined {
  const usage = message.usage_metadata as Partial<UsageMetadata> | undefined
  const [inputTokens, outputTokens] = [tokens(usage?.input_tokens), tokens(usage?.output_tokens)]
  if (inputTokens === undefined || outputTokens === undefined || inputTokens + outputTokens === 0)
    return undefined
  return {
    inputTokens,
    outputTokens,
    cachedInputTokens: tokens(usage?.input_token_details?.cache_read) ?? 0,
    cacheWriteTokens: tokens(usage?.input_token_details?.cache_creation) ?? 0,
    reasoningTokens: tokens(usage?.output_token_details?.reasoning) ?? 0,
    estimated: false,
  }
}

/** A hundred million tokens is more than any call can have. */
const MOST_TOKENS = 1e8

function tokens(count: unknown): number | undefined {
  if (typeof count !== "number" || !(count >= 0 && count <= MOST_TOKENS)) return undefined
  return Math.ceil(count)
}

/** What a message or chunk says, as far as it was generated: text, tool names and arguments. */
export function generatedText(message: AIMessage | AIMessageChunk): string {
  if ("tool_call_chunks" in message) {
    const calls = message.tool_call_chunks ?? []
    return message.text + calls.map(({ name, args }) => (name ?? "") + (args ?? "")).join("")
  }
  const calls = message.tool_calls ?? []
  return message.text + calls.map(({ name, args }) => name + JSON.stringify(args)).join("")
}
