import { AIMessage, AIMessageChunk, type AIMessageFields } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { nanoUsd } from "../spec/money.ts"
import type { RoutingDecision } from "../spec/policy.ts"
import type { RouteRecord } from "../spec/telemetry.ts"
import { NO_USAGE } from "../spec/usage.ts"
import { metadataChunk, replyMetadata, withReplyMetadata } from "./reply.ts"

const planned: RoutingDecision = {
  tier: "light",
  reason: "estimated",
  because: "score 0.10 is in 0.00–0.30, which is light",
  floor: "light",
  ceiling: "heavy",
}
const [light, heavy] = [
  { deploymentId: "l", tier: "light" },
  { deploymentId: "h", tier: "heavy" },
]
const rejected = { accepted: false, reason: "it hedges" } as const
const record: RouteRecord = {
  id: "r",
  at: 0,
  durationMs: 30,
  scopes: {},
  taskType: undefined,
  streamed: false,
  snapshot: { at: 0, draw: 0 },
  plan: {
    features: {} as never,
    estimator: "mine",
    estimate: { score: 0.1, confidence: 1, factors: {} },
    decision: planned,
    candidates: [],
    excluded: [],
    problems: [],
  },
  recoveries: [],
  decisions: [planned, { ...planned, tier: "heavy", reason: "escalated", because: "it hedges" }],
  attempts: [
    {
      ...light,
      startedAt: 0,
      durationMs: 10,
      outcome: "failed",
      failure: "timeout",
      error: "slow",
      cost: nanoUsd(1_000),
    },
    { ...light, startedAt: 10, durationMs: 0, outcome: "skipped", because: "unaffordable" },
    {
      ...heavy,
      startedAt: 10,
      durationMs: 20,
      outcome: "answered",
      usage: NO_USAGE,
      cost: nanoUsd(5_000),
      firstPieceMs: 20,
    },
  ],
  verdicts: [
    { ...light, verdict: rejected },
    { ...heavy, verdict: { accepted: true } },
  ],
  answeredBy: heavy,
  cost: nanoUsd(6_000),
  baselineCost: nanoUsd(9_000),
  tierCosts: [],
  problems: [],
  error: undefined,
}

describe("replyMetadata", () => {
  it("says who answered, why, what it cost, and what else was tried", () => {
    expect(replyMetadata(record)).toEqual({
      v: 1,
      id: "r",
      tier: "heavy",
      deployment: "h",
      reason: "escalated",
      because: "it hedges",
      score: 0.1,
      costUsd: 0.000006,
      baselineUsd: 0.000009,
      attempts: [
        { deployment: "l", tier: "light", outcome: "failed", because: "timeout", costUsd: 0.000001, ms: 10 },
        { deployment: "l", tier: "light", outcome: "skipped", because: "unaffordable", costUsd: 0, ms: 0 },
        { deployment: "h", tier: "heavy", outcome: "answered", costUsd: 0.000005, ms: 20 },
      ],
    })
  })

  it("says that the answer was rejected only of the answer that is returned", () => {
    const verdicts = [...record.verdicts, { ...heavy, verdict: rejected }]
    expect(replyMetadata({ ...record, verdicts }).rejected).toBe("it hedges")
    expect(replyMetadata(record)).not.toHaveProperty("rejected")
  })

  it("has no score when nothing was estimated", () => {
    const plan = { ...record.plan, estimate: undefined }
    expect(replyMetadata({ ...record, plan })).not.toHaveProperty("score")
  })
})

describe("withReplyMetadata", () => {
  const fields = {
    content: [{ type: "text", text: "It rains." }],
    id: "m-1",
    name: "weather-bot",
    additional_kwargs: { refusal: null },
    response_metadata: { model: "small" },
    tool_calls: [{ id: "1", name: "f", args: { city: "Rome" }, type: "tool_call" }],
    invalid_tool_calls: [{ id: "2", name: "g", args: "{", error: "broken", type: "invalid_tool_call" }],
  }
  const message = Object.assign(new AIMessage(fields as AIMessageFields), {
    usage_metadata: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
  })

  it("keeps everything the model said, and adds the metadata to its own", () => {
    const reply = withReplyMetadata(message, replyMetadata(record))
    for (const field of [
      "content",
      "id",
      "name",
      "additional_kwargs",
      "tool_calls",
      "invalid_tool_calls",
      "usage_metadata",
    ] as const)
      expect(reply[field]).toEqual(message[field])
    expect(reply.response_metadata).toEqual({ model: "small", tierwise: replyMetadata(record) })
  })

  it("leaves the model's own message alone", () => {
    const before: AIMessage = message
    withReplyMetadata(before, replyMetadata(record))
    expect(before.response_metadata).toEqual({ model: "small" })
  })
})

describe("metadataChunk", () => {
  it("belongs to the answer's chunks, says nothing, and carries the metadata", () => {
    const answer = new AIMessageChunk({
      content: "Hi",
      id: "m-1",
      response_metadata: { model_name: "small" },
    })
    const chunk = metadataChunk(answer, replyMetadata(record))
    const whole = answer.concat(chunk)
    expect(chunk).toMatchObject({ id: "m-1", text: "" })
    expect(whole.response_metadata).toEqual({
      model_name: "small",
      model: "small",
      tierwise: replyMetadata(record),
    })
  })
})
