import { AIMessageChunk, HumanMessage } from "@langchain/core/messages"
import { FakeListChatModel } from "@langchain/core/utils/testing"
import { describe, expect, it } from "vitest"
import { isRestart } from "../langchain/is-restart.ts"
import type { Piece } from "../langchain/piece.ts"
import type { FailureKind } from "../spec/dispatch.ts"
import { nanoUsd } from "../spec/money.ts"
import type { MidStream, RouteRequest } from "../spec/request.ts"
import { brokenStream, goOn, stillBroken } from "./recover-stream.ts"
import { openRouter } from "./resolve-options.ts"
import type { RouterOptions } from "./router-options.ts"
import { startWalk } from "./walk.ts"

const says = (text: string): Piece => ({ message: new AIMessageChunk({ content: text, id: "m-1" }) })
const words = [says("It "), says("is ")]

const failure = (deploymentId: string, kind: FailureKind = "truncated", cost = 3) => ({
  deploymentId,
  tier: deploymentId,
  startedAt: 0,
  durationMs: 1,
  outcome: "failed" as const,
  failure: kind,
  error: kind,
  cost: nanoUsd(cost),
})

interface Story {
  readonly midStream?: MidStream
  readonly streamed?: boolean
  readonly request?: Partial<RouteRequest>
  readonly failed?: readonly ReturnType<typeof failure>[]
  readonly tiers?: readonly string[]
  readonly options?: Partial<RouterOptions>
}

/** A stream of words that broke off, over models that are never called. */
async function broken(pieces: readonly Piece[], story: Story = {}) {
  const { midStream = "restart", streamed = true, tiers = ["light", "heavy"], options } = story
  const { parts } = openRouter({
    tiers,
    deployments: tiers.map((tier) => ({
      id: tier,
      tier,
      model: new FakeListChatModel({ responses: ["never"] }),
      price: "free",
      profile: { maxInputTokens: 100_000, structuredOutput: true },
    })),
    midStream,
    ...options,
  })
  const request = { messages: [new HumanMessage("Hello")], ...story.request }
  const invocation = { callOptions: {}, config: {} }
  const walk = await startWalk(parts, request, invocation, { streamed, deadline: undefined })
  for (const attempt of story.failed ?? [failure("light")]) walk.record.attempted(attempt)
  const rung = { decision: walk.planned.plan.decision, candidates: walk.planned.candidates }
  const error = brokenStream(walk, pieces, new Error("cut"))
  return { walk, error, on: goOn(parts, walk, rung, pieces, error) }
}

describe("a stream that broke off", () => {
  it("begins anew with somebody who has not failed, and says so to its reader", async () => {
    const { on } = await broken(words)
    expect(on).toMatchObject({ deploymentId: "light", failure: "truncated", how: "restarted" })
    expect(on?.rung.candidates.map(({ deployment }) => deployment.id)).toEqual(["heavy"])
    expect(on?.before).toBeUndefined()
    expect(on?.marker && isRestart(on.marker.message)).toBe(true)
  })

  it("needs no mark, and no words before it, where its words went to handlers", async () => {
    for (const midStream of ["restart", "continue"] as const) {
      const { on } = await broken(words, { midStream, streamed: false })
      expect(on).toMatchObject({ how: "restarted", marker: undefined, before: undefined })
    }
  })

  it("goes on with another, who is told what there is and that it was cut off", async () => {
    const { on, walk } = await broken(words, { midStream: "continue" })
    expect(on).toMatchObject({ deploymentId: "light", how: "continued" })
    expect(on?.rung.candidates.map(({ deployment }) => deployment.id)).toEqual(["heavy"])
    expect(on?.before?.message).toMatchObject({ content: "It is ", id: "m-1" })
    expect(on?.marker?.message).toMatchObject({
      content: "",
      id: "m-1",
      response_metadata: { tierwise_continuations: 1 },
    })
    expect(on?.walk.invocation.messageId).toBe("m-1")
    const messages = on?.walk.request.messages ?? []
    expect(messages.map(({ type }) => type)).toEqual(["human", "ai", "human"])
    expect(messages[1]?.text).toBe("It is ")
    // It is longer by all that.
    const { plan } = on?.walk.planned ?? walk.planned
    expect(plan.features.messages).toBe(3)
    expect(plan.features.inputTokens).toBeGreaterThan(walk.planned.plan.features.inputTokens + 10)
  })

  it.each<[string, readonly Piece[], Story]>([
    ["where that is not wanted", words, { midStream: "error" }],
    ["where no failure is known", words, { failed: [] }],
    ["where only the loser of a race has failed", words, { failed: [failure("light", "aborted")] }],
    [
      "after a failure that nobody is asked after",
      words,
      { options: { failureHandling: { truncated: { fallback: false } } } },
    ],
    ["when as many have failed as may", words, { options: { maxFallbackAttempts: 0 } }],
    ["when nobody is left", words, { tiers: ["light"], options: { thresholds: [] } }],
    [
      "when nobody is left who could go on with it",
      words,
      { midStream: "continue", tiers: ["light"], options: { thresholds: [] } },
    ],
    [
      "in the middle of a tool call",
      [
        {
          message: new AIMessageChunk({
            content: "",
            tool_call_chunks: [{ name: "f", args: "{", index: 0 }],
          }),
        },
      ],
      {},
    ],
    [
      "in the middle of what is no text, to be continued",
      [{ message: new AIMessageChunk({ content: [{ type: "reasoning", reasoning: "Hm" }] }) }],
      { midStream: "continue" },
    ],
    [
      "in the middle of a schema, to be continued",
      words,
      {
        midStream: "continue",
        request: { responseFormat: { name: "answer", schema: { type: "object", properties: {} } } },
      },
    ],
  ])("is an error %s", async (_, pieces, story) => {
    expect((await broken(pieces, story)).on).toBeUndefined()
  })

  it("may go on until as many have failed as may", async () => {
    const tiers = ["light", "middle", "heavy"]
    const failed = [failure("light"), failure("middle", "timeout"), failure("heavy", "aborted")]
    const twice = { tiers, failed, options: { thresholds: [0.3, 0.6], maxFallbackAttempts: 2 } }
    const { on } = await broken(words, twice)
    expect(on).toMatchObject({ deploymentId: "middle", failure: "timeout" })
    // Who was cancelled because another was faster may be asked.
    expect(on?.rung.candidates.map(({ deployment }) => deployment.id)).toEqual(["heavy"])
    const { on: none } = await broken(words, {
      ...twice,
      options: { ...twice.options, maxFallbackAttempts: 1 },
    })
    expect(none).toBeUndefined()
  })
})

describe("the error for its reader", () => {
  it("has the words that were read, and what all of it cost", async () => {
    const failed = [failure("light", "overloaded", 2), failure("heavy"), failure("light", "aborted", 1)]
    const { error } = await broken(words, { failed })
    expect(error).toMatchObject({ deploymentId: "heavy", failure: "truncated", partial: "It is ", cost: 6 })
    const texts = [{ message: new AIMessageChunk({ content: [{ type: "text", text: "It " }] }) }, says("is ")]
    expect((await broken(texts)).error.partial).toBe("It is ")
  })

  it("has none where none were read by him", async () => {
    expect((await broken([], { midStream: "error" })).error.partial).toBe("")
    expect((await broken(words, { streamed: false })).error.partial).toBe("")
  })

  it("tells of the break, and of what has been spent since", async () => {
    const { error, walk } = await broken(words)
    walk.record.attempted(failure("heavy", "server-error", 4))
    expect(stillBroken(walk, error)).toMatchObject({
      deploymentId: "light",
      failure: "truncated",
      partial: "It is ",
      cost: 7,
      cause: error.cause,
    })
  })
})
