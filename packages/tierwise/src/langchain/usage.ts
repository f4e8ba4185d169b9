import type { AIMessage, AIMessageChunk, UsageMetadata } from "@langchain/core/messages"
import type { Usage } from "../spec/usage.ts"
import { estimateTokens } from "../tokens/estimate-tokens.ts"

/** What the provider reported on a message, or undefined if it reported nothing. */
export function reportedUsage(message: AIMessage | AIMessageChunk): Usage | undefined {
  const usage = message.usage_metadata as UsageMetadata | undefined
  return usage === undefined || usage.total_tokens === 0 ? undefined : usageFrom(usage)
}

function usageFrom(usage: UsageMetadata): Usage {
  return {
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    cachedInputTokens: usage.input_token_details?.cache_read ?? 0,
    cacheWriteTokens: usage.input_token_details?.cache_creation ?? 0,
    reasoningTokens: usage.output_token_details?.reasoning ?? 0,
    estimated: false,
  }
}

/** Tokens of what a message or chunk says, tool calls included, by our own estimate. */
export function estimatedOutputTokens(message: AIMessage | AIMessageChunk): number {
  const calls = "tool_call_chunks" in message ? message.tool_call_chunks : message.tool_calls
  const text = message.text + (calls?.length ? JSON.stringify(calls) : "")
  return text === "" ? 0 : estimateTokens(text)
}
