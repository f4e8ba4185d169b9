import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { AIMessageChunk } from "@langchain/core/messages"
import { lowConfidence, type RouterChatModel } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld, RunCounter, replyMetadata } from "./world.ts"

const POOR = "I'm not sure about that."
const GOOD = "It is the third one, as the label says."

/** A world whose light tier gives an answer that the validator rejects, and whose next tier a good one. */
async function openPoorWorld(options: Parameters<typeof openWorld>[0] = {}) {
  const world = await openWorld({ validator: lowConfidence(), ...options })
  world.simulator.script([{ answer: POOR }, { answer: GOOD }])
  return world
}

/** Shows words as they come, like the handler of a user interface. */
class Screen extends BaseCallbackHandler {
  override readonly name: string = "screen"
  readonly events: string[] = []
  text = ""

  constructor() {
    super({ _awaitHandler: true })
  }

  override handleChatModelStart(): void {
    this.events.push("start")
  }

  override handleLLMNewToken(token: string): void {
    this.text += token
  }

  override handleLLMEnd(): void {
    this.events.push("end")
  }
}

class StreamingScreen extends Screen {
  override readonly name = "streaming-screen"
  readonly lc_prefer_streaming = true
}

async function textOf(router: RouterChatModel, options: object = {}): Promise<string> {
  let text = ""
  for await (const chunk of await router.stream("Hello", options)) text += chunk.text
  return text
}

describe("a gated stream", () => {
  it("escalates, and shows accepted words only", async () => {
    await using world = await openPoorWorld()
    const chunks: AIMessageChunk[] = []
    for await (const chunk of await world.router.stream("Hello")) chunks.push(chunk)
    expect(chunks.map(({ text }) => text).join("")).toBe(GOOD)
    expect(chunks.filter(({ response_metadata }) => "tierwise" in response_metadata)).toHaveLength(1)
    expect(replyMetadata(chunks.at(-1) as AIMessageChunk)).toMatchObject({
      tier: "standard",
      reason: "escalated",
      attempts: [{ outcome: "answered" }, { outcome: "answered" }],
    })
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
  })

  it("recovers from a break in the middle of an answer that nobody has read", async () => {
    await using world = await openWorld({ validator: lowConfidence() })
    world.simulator.script([{ answer: GOOD, cutAfterChunks: 3 }, { answer: GOOD }])
    expect(await textOf(world.router)).toBe(GOOD)
    expect(world.records[0]?.attempts.map(({ outcome }) => outcome)).toEqual(["failed", "answered"])
  })

  it("returns the answer in hand when the escalation fails", async () => {
    await using world = await openWorld({ validator: lowConfidence(), maxRetries: 0 })
    world.simulator.script([{ answer: POOR }, { status: 500, times: 2 }])
    expect(await textOf(world.router)).toBe(POOR)
    expect(world.records[0]).toMatchObject({
      answeredBy: { tier: "light" },
      error: undefined,
      problems: [{ room: "dispatch", error: expect.stringContaining("the escalation failed") }],
    })
  })

  it("does not offer the answer in hand to a caller who aborts the escalation", async () => {
    for (const way of ["stream", "invoke"] as const) {
      await using world = await openWorld({ validator: lowConfidence() })
      world.simulator.script([{ answer: POOR }, { delayMs: 2_000 }])
      const leaving = new AbortController()
      const reader = new Screen()
      const options = { signal: leaving.signal, callbacks: [reader] }
      const asked = way === "stream" ? textOf(world.router, options) : world.router.invoke("Hello", options)
      await expect.poll(() => world.bodies().length).toBe(2)
      leaving.abort(new Error("enough"))
      await expect(asked).rejects.toThrow("enough")
      expect(world.records[0]).toMatchObject({ answeredBy: undefined, error: "enough" })
      // The run that was answered has ended for those who count; nobody is told what it said.
      expect(reader).toMatchObject({ events: ["start", "start", "end"], text: "" })
    }
  })

  it("tells those who count of every answer's end, also when the last escalation fails", async () => {
    await using world = await openWorld({ validator: lowConfidence(), maxRetries: 0 })
    world.simulator.script([{ answer: POOR }, { answer: POOR }, { status: 500, times: 3 }])
    const reader = new Screen()
    expect(await textOf(world.router, { callbacks: [reader] })).toBe(POOR)
    expect(reader.text).toBe(POOR)
    expect(reader.events).toEqual(["start", "start", "start", "end", "end"])
    expect(world.records[0]).toMatchObject({ answeredBy: { tier: "standard" } })
  })

  it("is the caller's choice, call by call", async () => {
    await using world = await openPoorWorld()
    expect(await textOf(world.router, { gate: "off" })).toBe(POOR)
    await expect(textOf(world.router, { gate: "half" })).rejects.toMatchObject({ path: "gate" })
  })
})

describe("handlers that read along", () => {
  it.for([
    // A token reader hears nothing from `invoke`, which does not stream for it.
    { who: "a streaming handler", screen: () => new StreamingScreen(), events: ["start", "end"], said: GOOD },
    { who: "a token reader", screen: () => new Screen(), events: ["start", "start", "end", "end"], said: "" },
  ])("$who is shown accepted words only, and counts what it should", async ({ screen, events, said }) => {
    const ask = {
      stream: (router: RouterChatModel, options: object) => textOf(router, options),
      invoke: async (router: RouterChatModel, options: object) =>
        (await router.invoke("Hello", options)).text,
    }
    for (const call of ["stream", "invoke"] as const) {
      await using world = await openPoorWorld()
      const [shown, counter] = [screen(), new RunCounter()]
      expect(await ask[call](world.router, { callbacks: [shown, counter] })).toBe(GOOD)
      expect(shown.text).toBe(call === "stream" ? GOOD : said)
      expect(shown.events).toEqual(events)
      expect(counter.events.filter((event) => event === "llm end")).toHaveLength(2)
    }
  })

  it("hear of runs below the model's own, too", async () => {
    await using world = await openWorld({ validator: lowConfidence() })
    world.simulator.script([{ answer: '{"city":"Rome"}' }])
    const reader = new Screen()
    const asked = world.router.withStructuredOutput({ type: "object", properties: {} })
    expect(await asked.invoke("Where?", { callbacks: [reader] })).toEqual({ city: "Rome" })
    expect(reader.events).toEqual(["start", "end"])
  })

  it("are shown an ungated answer of `invoke` at once, which is then final", async () => {
    await using world = await openPoorWorld({ gate: "off" })
    const shown = new StreamingScreen()
    expect((await world.router.invoke("Hello", { callbacks: [shown] })).text).toBe(POOR)
    expect(shown.text).toBe(POOR)
    expect(world.records[0]?.verdicts).toMatchObject([{ verdict: { accepted: false } }])
  })

  it("do not keep `invoke` from escalating where they are shown nothing", async () => {
    await using world = await openPoorWorld({ gate: "off" })
    expect((await world.router.invoke("Hello", { callbacks: [new Screen()] })).text).toBe(GOOD)
  })

  it("see in streamEvents one model's run and its words once [L1.stream-events]", async () => {
    await using world = await openPoorWorld()
    const seen: string[] = []
    let text = ""
    for await (const { event, data } of world.router.streamEvents("Hello", { version: "v2" })) {
      if (event.startsWith("on_chat_model")) seen.push(event)
      if (event === "on_chat_model_stream") text += (data.chunk as AIMessageChunk).text
    }
    expect(text).toBe(GOOD)
    expect(new Set(seen)).toEqual(
      new Set(["on_chat_model_start", "on_chat_model_stream", "on_chat_model_end"]),
    )
    expect(seen.filter((event) => event === "on_chat_model_start")).toHaveLength(1)
  })

  it("see in version-less streamEvents the accepted answer, and the run is traced", async () => {
    await using world = await openPoorWorld()
    const counter = new RunCounter()
    const stream = world.router.streamEvents("Hello", { callbacks: [counter], tier: undefined })
    let text = ""
    for await (const token of stream.text) text += token
    expect(text).toBe(GOOD)
    expect(counter.events.filter((event) => event === "llm end")).toHaveLength(2)
  })
})

describe("an ungated stream", () => {
  it("escalates as long as nothing of it has been read", async () => {
    await using world = await openWorld()
    world.simulator.script([{ answer: "" }, { answer: GOOD }])
    expect(await textOf(world.router)).toBe(GOOD)
  })
})
