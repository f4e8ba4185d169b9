import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { AIMessageChunk } from "@langchain/core/messages"
import {
  CandidatesExhaustedError,
  DeadlineExceededError,
  isRestart,
  memoryBudget,
  RouterChatModel,
  type RouterChatModelFields,
  StreamBrokenError,
  TierwiseError,
} from "tierwise"
import { describe, expect, it } from "vitest"
import { openOddWorld, streams } from "./scripted-server.ts"
import { openWorld, replyMetadata } from "./world.ts"

/** What a reader has in the end, who forgets what a restart tells him to. */
async function read(stream: AsyncIterable<AIMessageChunk>) {
  let chunks: AIMessageChunk[] = []
  let error: unknown
  try {
    for await (const chunk of stream) chunks = isRestart(chunk) ? [] : [...chunks, chunk]
  } catch (thrown) {
    error = thrown
  }
  const last = chunks.at(-1)
  const whole = chunks.reduce<AIMessageChunk | undefined>(
    (sum, chunk) => sum?.concat(chunk) ?? chunk,
    undefined,
  )
  return { text: chunks.map(({ text }) => text).join(""), chunks, error, last, whole }
}

const purse = () => memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 1 }] })

const call = (args: string) => ({
  tool_calls: [{ index: 0, id: "call-1", type: "function", function: { name: "look_up", arguments: args } }],
})

describe("a stream that breaks off after its first words", () => {
  it.each(["cut", "short"] as const)(
    "is an error with the words and what they cost (%s) [N5.truncated-not-success]",
    async (end) => {
      await using world = await openOddWorld(streams(["It ", "is "], end), streams(["never"]))
      const budget = purse()
      const { text, error } = await read(await world.router({ budget }).stream("Hello"))
      expect(text).toBe("It is ")
      expect(error).toBeInstanceOf(StreamBrokenError)
      expect(error).toMatchObject({ deploymentId: "light", failure: "truncated", partial: "It is " })
      const [record] = world.records
      expect((error as StreamBrokenError).cost).toBe(record?.cost)
      expect(record).toMatchObject({ answeredBy: undefined, attempts: [{ failure: "truncated" }] })
      expect(await budget.status({})).toMatchObject([{ held: 0, spent: record?.cost }])
      expect(world.bodies).toHaveLength(1)
    },
  )

  it("is no answer of `invoke` either, where a handler reads along [N5.truncated-not-success]", async () => {
    const reader = () => Object.assign(BaseCallbackHandler.fromMethods({}), { lc_prefer_streaming: true })
    await using world = await openOddWorld(streams(["It ", "is "], "short"), streams(["Fine."]))
    const ask = (options: Partial<RouterChatModelFields>) =>
      world.router(options).invoke("Hello", { callbacks: [reader()] })
    await expect(ask({})).rejects.toMatchObject({ code: "stream-broken", failure: "truncated", partial: "" })
    expect((await ask({ gate: "full" })).text).toBe("Fine.")
  })

  it("is begun anew for those who read `invoke` along, whose answer is one model's", async () => {
    const reader = Object.assign(BaseCallbackHandler.fromMethods({}), { lc_prefer_streaming: true })
    await using world = await openOddWorld(streams(["It ", "is "], "cut"), streams(["Fine."]))
    const reply = await world.router({ midStream: "restart" }).invoke("Hello", { callbacks: [reader] })
    expect(reply.text).toBe("Fine.")
    expect(replyMetadata(reply)).toMatchObject({ recovered: ["restarted"] })
  })

  it("is taken as whole where its deployment does not say why it ends", async () => {
    await using world = await openOddWorld(streams(["It ", "is."], "short"))
    const { deployments, ...options } = world.router().lc_kwargs as RouterChatModelFields
    const silent = deployments.map((one) => ({ ...one, reportsFinishReason: false }))
    const router = new RouterChatModel({ ...options, deployments: silent })
    const { text, error } = await read(await router.stream("Hello"))
    expect([text, error]).toEqual(["It is.", undefined])
  })

  it("begins anew where that is wanted, and tells its reader to forget the words [N5.mid-stream-policy]", async () => {
    await using world = await openOddWorld(streams(["It ", "is "], "cut"), streams(["Fine", "."]))
    const budget = purse()
    const router = world.router({ budget, midStream: "restart" })
    const { text, error, last, whole } = await read(await router.stream("Hello"))
    expect([text, error]).toEqual(["Fine.", undefined])
    expect(replyMetadata(last as AIMessageChunk)).toMatchObject({
      deployment: "heavy",
      recovered: ["restarted"],
    })
    expect(whole?.response_metadata["finish_reason"]).toBe("stop")
    const [record] = world.records
    expect(record?.recoveries).toEqual([{ deploymentId: "light", failure: "truncated", how: "restarted" }])
    expect(await budget.status({})).toMatchObject([{ held: 0, spent: record?.cost }])
  })

  it("goes on where that is wanted: another deployment sees the beginning, and the message stays one [N5.mid-stream-policy]", async () => {
    await using world = await openOddWorld(streams(["It ", "is "], "cut"), streams(["fine", "."]))
    const router = world.router({ midStream: "continue" })
    const { text, error, chunks, last, whole } = await read(await router.stream("Hello"))
    expect([text, error]).toEqual(["It is fine.", undefined])
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
    expect(whole?.response_metadata).toMatchObject({ tierwise_continuations: 1, finish_reason: "stop" })
    expect(replyMetadata(last as AIMessageChunk)).toMatchObject({
      deployment: "heavy",
      recovered: ["continued"],
    })
    const messages = world.bodies[1]?.["messages"] as { readonly role: string; readonly content: string }[]
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user"])
    expect(messages[1]?.content).toBe("It is ")
  })

  it.each(["restart", "continue"] as const)(
    "is an error in the middle of a tool call, whatever is wanted (%s)",
    async (midStream) => {
      await using world = await openOddWorld(streams([call('{"q":')], "cut"), streams([call('{"q":1}')]))
      const tools = [
        { type: "function", function: { name: "look_up", parameters: { type: "object", properties: {} } } },
      ]
      const { error } = await read(await world.router({ midStream }).stream("Hello", { tools }))
      expect(error).toBeInstanceOf(StreamBrokenError)
      expect(world.bodies).toHaveLength(1)
    },
  )

  it("tells the first break when nobody goes on with it", async () => {
    await using world = await openOddWorld(streams(["It "], "cut"), streams([], "cut"))
    const { error } = await read(await world.router({ midStream: "continue", maxRetries: 0 }).stream("Hello"))
    expect(error).toMatchObject({ code: "stream-broken", deploymentId: "light", partial: "It " })
  })

  it("is told to those who listen to events", async () => {
    await using world = await openOddWorld(streams(["It "], "cut"), streams(["Fine."]))
    const events: unknown[] = []
    for await (const { event, name, data } of world
      .router({ midStream: "restart" })
      .streamEvents("Hello", { version: "v2" })) {
      if (event === "on_custom_event") events.push([name, data])
    }
    expect(events).toEqual([["tierwise.stream-restarted", { deploymentId: "light", failure: "truncated" }]])
  })
})

describe("a stream that stalls", () => {
  it("is broken off, and its money settled", async () => {
    await using world = await openOddWorld(streams(["It "], "silent"))
    const budget = purse()
    const router = world.router({ budget, stallTimeoutMs: 40 })
    const { text, error } = await read(await router.stream("Hello"))
    expect(text).toBe("It ")
    expect(error).toMatchObject({ code: "stream-broken", failure: "timeout", partial: "It " })
    expect(await budget.status({})).toMatchObject([{ held: 0, spent: world.records[0]?.cost }])
  })

  it("is begun anew where that is wanted", async () => {
    await using world = await openOddWorld(streams(["It "], "silent"), streams(["Fine."]))
    const { text } = await read(
      await world.router({ midStream: "restart", stallTimeoutMs: 40 }).stream("Hello"),
    )
    expect(text).toBe("Fine.")
  })

  it("is not broken off by a reader who takes his time", async () => {
    await using world = await openOddWorld(streams(["It ", "is ", "fine."]))
    const texts: string[] = []
    for await (const { text } of await world.router({ stallTimeoutMs: 30 }).stream("Hello")) {
      texts.push(text)
      await new Promise((resolve) => setTimeout(resolve, 60))
    }
    expect(texts.join("")).toBe("It is fine.")
  })
})

describe("a deadline for the whole call", () => {
  it("ends it with all that was tried, and gives the money back", async () => {
    const budget = purse()
    await using world = await openWorld({ budget, deadlineMs: 80 })
    world.simulator.script([{ model: "sim-small", status: 401 }, { delayMs: 5_000 }])
    const error = await world.router.invoke("Hello").catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(DeadlineExceededError)
    expect(error).toMatchObject({
      deadlineMs: 80,
      attempts: [{ failure: "authentication" }, { failure: "timeout" }],
    })
    expect(await budget.status({})).toMatchObject([{ held: 0 }])
  })

  it("may be named by a call, and waits for no retry that would come too late", async () => {
    await using world = await openWorld({ retryBaseMs: 60_000, random: () => 0.99 })
    world.simulator.script([{ status: 500, times: 9 }])
    const error = await world.router.invoke("Hello", { deadlineMs: 2_000 }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CandidatesExhaustedError)
    expect(world.bodies()).toHaveLength(3)
  })

  it("breaks off a stream, and says so", async () => {
    await using world = await openOddWorld(streams(["It "], "silent"))
    const { error } = await read(await world.router({ deadlineMs: 60 }).stream("Hello"))
    expect(error).toMatchObject({ code: "stream-broken", failure: "timeout" })
  })

  it("leaves the caller's own abort what it is", async () => {
    await using world = await openWorld({ deadlineMs: 5_000 })
    world.simulator.script([{ delayMs: 5_000 }])
    const asked = world.router.invoke("Hello", { signal: AbortSignal.timeout(30) })
    await expect(asked).rejects.toSatisfy((error) => !TierwiseError.isInstance(error))
  })

  it("is refused where it is none", async () => {
    await using world = await openWorld()
    await expect(world.router.invoke("Hello", { deadlineMs: 0 })).rejects.toMatchObject({
      path: "deadlineMs",
    })
  })
})
