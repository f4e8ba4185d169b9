import { RunnableLambda } from "@langchain/core/runnables"
import { countTokens } from "gpt-tokenizer/encoding/o200k_base"
import { type Attempt, priceTable } from "tierwise"
import { describe, expect, it } from "vitest"
import { GOLDEN_CALLS, type GoldenCall, openGoldenWorld } from "./golden-calls.ts"

const NO_TOKENS = {
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  inputAudioTokens: 0,
  inputImageTokens: 0,
  reasoningTokens: 0,
  outputAudioTokens: 0,
  outputImageTokens: 0,
}

type Way = "invoke" | "stream" | "streamEvents" | "invoke, read along"

/** Asks once, and tells what the call was counted as. */
async function countedAs(call: GoldenCall, way: Way): Promise<Extract<Attempt, { outcome: "answered" }>> {
  await using world = await openGoldenWorld(call)
  const { router, records } = world
  if (way === "invoke") {
    await router.invoke("Hello")
  } else if (way === "stream") {
    for await (const _ of await router.stream("Hello"));
  } else if (way === "streamEvents") {
    for await (const _ of router.streamEvents("Hello", { version: "v2" }));
  } else {
    const chain = RunnableLambda.from((words: string, config) => router.invoke(words, config))
    for await (const _ of chain.streamEvents("Hello", { version: "v2" }));
  }
  expect(records).toHaveLength(1)
  const attempt = records[0]?.attempts[0]
  if (attempt?.outcome !== "answered") throw new Error(`it was not answered: ${JSON.stringify(attempt)}`)
  expect(records[0]?.cost).toBe(attempt.cost)
  return attempt
}

const billed = GOLDEN_CALLS.filter(({ invoice }) => invoice !== null).map((call) => ({
  ...call,
  title: `${call.name} [${call.proves}]`,
}))

describe("the cost of a call is the provider's bill, to the nano-dollar", () => {
  it.each(billed)("$title", async (call) => {
    const expected = { usage: { ...NO_TOKENS, ...call.usage, estimated: false }, cost: call.invoice?.nanoUsd }
    expect(await countedAs(call, "invoke")).toMatchObject(expected)
  })

  it.each(billed)("$name, streamed [N2.exact-streamed]", async (call) => {
    const expected = { usage: { ...NO_TOKENS, ...call.usage, estimated: false }, cost: call.invoice?.nanoUsd }
    // Of Claude's own joining of its stream there is a story below.
    const ways = ["stream", "streamEvents", "invoke, read along"] as const
    for (const way of ways.slice(0, call.speaks === "anthropic" ? 2 : 3))
      expect(await countedAs(call, way)).toMatchObject(expected)
  })
})

describe("a golden invoice", () => {
  it.each(billed)("$name adds up", ({ invoice }) => {
    expect(invoice?.lines.reduce((sum, [, nanoUsd]) => sum + nanoUsd, 0)).toBe(invoice?.nanoUsd)
  })

  it.each(billed.filter(({ listed }) => listed !== undefined))(
    "$name has the price that the maintained list has",
    async (call) => {
      const [provider = "", model = ""] = call.listed?.split("/") ?? []
      const listed = await priceTable().priceOf(provider, model)
      expect(listed).toMatchObject({ ...(call.price as object), source: expect.anything() })
    },
  )
})

describe("the cost of a call whose usage nobody reports", () => {
  const [silent] = GOLDEN_CALLS.filter(({ usage }) => usage === null)

  it.each(["invoke", "stream"] as const)("is counted, and says so, %sed", async (way) => {
    const { usage, cost } = await countedAs(silent as GoldenCall, way)
    const [read, written] = [countTokens("Hello"), countTokens(textOf(silent as GoldenCall))]
    expect(usage.estimated).toBe(true)
    expect(usage.outputTokens / written).toBeCloseTo(1, 1)
    // 3 around the message, 1 for its role, 3 to prime the answer.
    expect(usage.inputTokens).toBe(read + 7)
    expect(cost).toBe(usage.inputTokens * 100 + usage.outputTokens * 200)
  })

  it("is an estimate where Claude's package joins the stream it counts on in, so that a handler can read along", async () => {
    for (const call of GOLDEN_CALLS.filter(({ speaks }) => speaks === "anthropic")) {
      const { usage, cost } = await countedAs(call, "invoke, read along")
      expect(usage.estimated).toBe(true)
      expect(cost).toBeGreaterThanOrEqual(call.invoice?.nanoUsd ?? Number.NaN)
      expect(cost).toBeLessThan(1.06 * (call.invoice?.nanoUsd ?? Number.NaN))
    }
  })
})

function textOf({ whole }: GoldenCall): string {
  const [choice] = whole["choices"] as readonly { readonly message: { readonly content: string } }[]
  return choice?.message.content ?? ""
}
