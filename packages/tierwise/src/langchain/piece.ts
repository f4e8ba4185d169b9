import type { BaseMessage } from "@langchain/core/messages"
import type { Answer } from "../spec/validation.ts"

/** One piece of an answer: the whole message of `invoke`, or one chunk of a stream. */
export interface Piece extends Answer {
  /** True: no words, but notice that a handler has shown some, and that they cannot be taken back. */
  readonly shown?: boolean | undefined
}

/** True for a piece that the reader has something of; OpenAI's streams open with an empty one that only has a role. */
export function hasContent({ message, parseError, shown }: Piece): boolean {
  if (shown === true || parseError !== undefined || saysSomething(message.content)) return true
  const { tool_call_chunks: chunks } = message as { tool_call_chunks?: readonly unknown[] }
  if ((chunks ?? message.tool_calls ?? []).length > 0) return true
  return WORDS_APART.some((name) => isFilled(message.additional_kwargs[name]))
}

/** Anthropic's streams open with a block of text without any. */
function saysSomething(content: BaseMessage["content"]): boolean {
  if (typeof content === "string") return content.length > 0
  return content.some((block) => block.type !== "text" || block["text"] !== "")
}

/** Where packages put what was generated but is no content; the ids and models they put beside it are no words. */
const WORDS_APART = ["reasoning_content", "refusal", "function_call", "tool_calls", "audio"] as const

function isFilled(value: unknown): boolean {
  if (typeof value === "string" || Array.isArray(value)) return value.length > 0
  return typeof value === "object" && value !== null
}
