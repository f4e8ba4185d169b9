import type { BaseMessage } from "@langchain/core/messages"

/**
 * What kind of step a model call of an agent is.
 * - `ask`: somebody has said something, and tools may be called.
 * - `tool-results`: the last message is a tool's result, and more tools may be called.
 * - `final-answer`: no tool may be called, so the call can only answer.
 */
export type AgentStepKind = "ask" | "tool-results" | "final-answer"

export interface StepSigns {
  readonly messages: readonly BaseMessage[]
  readonly tools?: readonly unknown[] | undefined
  readonly toolChoice?: unknown
}

export function stepKindOf({ messages, tools = [], toolChoice }: StepSigns): AgentStepKind {
  if (tools.length === 0 || toolChoice === "none") return "final-answer"
  return messages.at(-1)?.type === "tool" ? "tool-results" : "ask"
}
