import { AIMessage, AIMessageChunk, type AIMessageFields, type UsageMetadata } from "@langchain/core/messages"
import { nanoToUsd } from "../spec/money.ts"
import type { RoutingDecision } from "../spec/policy.ts"
import type { RouteRecord } from "../spec/telemetry.ts"

/** `response_metadata.tierwise` of every reply. Plain JSON; `v` changes when a field changes its meaning. */
export interface ReplyMetadata {
  readonly v: 1
  /** The record's id. */
  readonly id: string
  /** Tier and deployment that really answered. */
  readonly tier: string
  readonly deployment: string
  /** Why this tier. */
  readonly reason: string
  readonly because: string
  /** Complexity 0…1; absent when nothing was estimated. */
  readonly score?: number | undefined
  /** Of all attempts together, USD. */
  readonly costUsd: number
  /** The same tokens at the top tier, USD. */
  readonly baselineUsd: number
  readonly attempts: readonly {
    readonly deployment: string
    readonly tier: string
    readonly outcome: string
    /** Failure kind, or why it was skipped. */
    readonly because?: string | undefined
    readonly costUsd: number
    readonly ms: number
  }[]
  /** Present if a validator rejected the answer that was returned all the same. */
  readonly rejected?: string | undefined
  /** Present if an answer broke off in the middle of its stream: what was done, in order. */
  readonly recovered?: readonly ("restarted" | "continued")[] | undefined
  /** Present if the answer was given before: nobody was asked, and nothing was spent. */
  readonly cached?: true | undefined
}

export function replyMetadata(record: RouteRecord): ReplyMetadata {
  const decision = answeringDecision(record)
  const verdict = record.verdicts.at(-1)?.verdict
  return {
    v: 1,
    id: record.id,
    tier: record.answeredBy?.tier ?? decision.tier,
    deployment: record.answeredBy?.deploymentId ?? "",
    reason: decision.reason,
    // What whose budget has left is nobody's business who reads the answer.
    because: decision.reason === "downgraded" ? "the budget asked for a weaker tier" : decision.because,
    ...(record.plan.estimate && { score: record.plan.estimate.score }),
    costUsd: nanoToUsd(record.cost),
    baselineUsd: nanoToUsd(record.baselineCost),
    attempts: record.attempts.map((attempt) => ({
      deployment: attempt.deploymentId,
      tier: attempt.tier,
      outcome: attempt.outcome,
      ...(attempt.outcome === "failed" && { because: attempt.failure }),
      ...(attempt.outcome === "skipped" && { because: attempt.because }),
      costUsd: attempt.outcome === "skipped" ? 0 : nanoToUsd(attempt.cost),
      ms: attempt.durationMs,
    })),
    ...(record.recoveries.length > 0 && { recovered: record.recoveries.map(({ how }) => how) }),
    ...(verdict?.accepted === false && { rejected: verdict.reason }),
  }
}

/**
 * The decision by which the returned answer was given. Every verdict belongs to the plan's decision or to an escalation,
 * as it stood after downgrades; an escalation that brought no answer has no verdict.
 */
function answeringDecision({ decisions, verdicts, plan }: RouteRecord): RoutingDecision {
  let answers = 0
  let decision = plan.decision
  for (const next of decisions) {
    if (next.reason === "escalated") answers++
    if (answers > Math.max(0, verdicts.length - 1)) break
    decision = next
  }
  return decision
}

/** The same answer when it is given again. It keeps the id of the record that tells how it came about. */
export function recalledMetadata({ v, id, tier, deployment, baselineUsd }: ReplyMetadata): ReplyMetadata {
  const because = `answered before, by ${deployment}`
  return {
    v,
    id,
    tier,
    deployment,
    reason: "cached",
    because,
    costUsd: 0,
    baselineUsd,
    attempts: [],
    cached: true,
  }
}

/** A copy of the message that carries the metadata: the original may lie in somebody's cache. */
export function withReplyMetadata(message: AIMessage | AIMessageChunk, reply: ReplyMetadata): AIMessage {
  const usage = message.usage_metadata as UsageMetadata | undefined
  const fields = {
    content: message.content,
    additional_kwargs: message.additional_kwargs,
    response_metadata: { ...modelOf(message), ...message.response_metadata, tierwise: reply },
    ...(message.id !== undefined && { id: message.id }),
    ...(message.name !== undefined && { name: message.name }),
    ...(message.tool_calls !== undefined && { tool_calls: message.tool_calls }),
    ...(message.invalid_tool_calls !== undefined && { invalid_tool_calls: message.invalid_tool_calls }),
    ...(usage !== undefined && { usage_metadata: usage }),
  }
  return new AIMessage(fields as unknown as AIMessageFields)
}

/** Packages say which model answered under either of two names; readers look for both. */
function modelOf({ response_metadata: { model, model_name } }: AIMessage | AIMessageChunk): {
  model?: unknown
} {
  return model === undefined && model_name !== undefined ? { model: model_name } : {}
}

/**
 * The last chunk of a streamed answer: empty, under the answer's id, and the only one that carries the metadata, because
 * LangChain joins strings and adds numbers when it merges the metadata of chunks.
 */
export function metadataChunk(answer: AIMessage | AIMessageChunk, reply: ReplyMetadata): AIMessageChunk {
  return new AIMessageChunk({
    content: "",
    ...(answer.id !== undefined && { id: answer.id }),
    response_metadata: { ...modelOf(answer), tierwise: reply },
  })
}
