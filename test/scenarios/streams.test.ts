import type { AIMessageChunk } from "@langchain/core/messages"
import { lowConfidence, memoryBudget } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld, RunCounter, replyMetadata, usageOf } from "./world.ts"

const STORY = "Write a short story about a lighthouse keeper."
const join = (chunks: readonly AIMessageChunk[]) => chunks.reduce((whole, chunk) => whole.concat(chunk))

async function read(stream: AsyncIterable<AIMessageChunk>): Promise<AIMessageChunk[]> {
  const chunks: AIMessageChunk[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

describe("a routed stream", () => {
  it("gives the same answer as invoke, with the metadata on its last chunk only [C8.streaming] [L1.stream]", async () => {
    await using world = await openWorld()
    const chunks = await read(await world.router.stream(STORY))
    expect(chunks.length).toBeGreaterThan(3)
    const carrying = chunks.filter((chunk) => "tierwise" in chunk.response_metadata)
    expect(carrying).toEqual([chunks.at(-1)])
    const whole = join(chunks)
    expect(whole.text).toBe((await world.router.invoke(STORY)).text)
    expect(replyMetadata(whole)).toMatchObject({
      v: 1,
      tier: expect.any(String),
      deployment: expect.any(String),
    })
    expect(usageOf(whole)?.output_tokens).toBeGreaterThan(0)
  })

  it("gives its first chunk before the provider has sent the rest", async () => {
    await using world = await openWorld({}, { timeScale: 0.2 })
    const from = performance.now()
    const times: number[] = []
    for await (const _ of await world.router.stream(STORY)) times.push(performance.now() - from)
    expect(times[0]).toBeLessThan((times.at(-1) ?? 0) / 2)
  })

  it("falls back until the first chunk has come [N5.stream-failover]", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", status: 401 }])
    const whole = join(await read(await world.router.stream("Hello")))
    expect(replyMetadata(whole)).toMatchObject({
      tier: "standard",
      attempts: [{ outcome: "failed" }, { outcome: "answered" }],
    })
  })

  it("never glues a second model's words to a stream that broke, and settles what was sent", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    await using world = await openWorld({ budget })
    world.simulator.script([{ cutAfterChunks: 4 }])
    const chunks: AIMessageChunk[] = []
    const reading = (async () => {
      for await (const chunk of await world.router.stream(STORY)) chunks.push(chunk)
    })()
    await expect(reading).rejects.toThrow(/terminated|socket|network|aborted/i)
    expect(chunks.length).toBeGreaterThan(0)
    expect(world.bodies()).toHaveLength(1)
    const [status] = await budget.status({})
    expect(status).toMatchObject({ held: 0 })
    expect(status?.spent).toBeGreaterThan(0)
    expect(world.records[0]).toMatchObject({
      answeredBy: undefined,
      cost: status?.spent,
      error: expect.stringMatching(/terminated|socket|network|aborted/i),
    })
  })

  it("cancels the provider and settles an estimate when the reader walks away", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    await using world = await openWorld({ budget }, { timeScale: 1 })
    const counter = new RunCounter()
    for await (const chunk of await world.router.stream(STORY, { callbacks: [counter] }))
      if (chunk.text !== "") break
    await expect.poll(() => world.records.length).toBe(1)
    await expect.poll(() => world.simulator.invoices()[0]?.outcome).toBe("aborted")
    expect(world.records[0]?.attempts).toMatchObject([
      { outcome: "failed", failure: "aborted", usage: { estimated: true } },
    ])
    const [status] = await budget.status({})
    expect(status).toMatchObject({ held: 0, spent: world.records[0]?.cost })
    expect(world.records[0]).toMatchObject({ streamed: true, error: "the reader stopped reading" })
    await expect.poll(() => counter.events.at(-1)).toContain("chain error")
  })

  it("closes all it has opened for a reader who leaves between two chunks, and says why", async () => {
    const leavings = [
      { leave: () => {}, error: "the reader stopped reading" },
      { leave: (aborting: AbortController) => aborting.abort(new Error("enough")), error: "enough" },
    ]
    for (const { leave, error } of leavings) {
      const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
      await using world = await openWorld({ budget })
      const aborting = new AbortController()
      // What chains and graphs read: nobody asks for the next chunk before the last one was taken.
      const chunks = world.router._streamIterator(STORY, { signal: aborting.signal })
      await chunks.next()
      leave(aborting)
      await chunks.return(undefined)
      expect(world.records).toMatchObject([{ error, attempts: [{ failure: "aborted" }] }])
      expect((await budget.status({}))[0]).toMatchObject({ held: 0, spent: world.records[0]?.cost })
    }
  })

  it("judges an ungated stream for the record only: what was read cannot be taken back", async () => {
    await using world = await openWorld({ validator: lowConfidence(), gate: "off" })
    world.simulator.script([{ answer: "I'm not sure about that." }])
    const whole = join(await read(await world.router.stream("Hello")))
    expect(whole.text).toBe("I'm not sure about that.")
    expect(replyMetadata(whole)).toMatchObject({ tier: "light", rejected: expect.any(String) })
    expect(world.bodies()).toHaveLength(1)
  })

  it("is one chain run with one LLM run [L1.callbacks]", async () => {
    await using world = await openWorld()
    const counter = new RunCounter()
    const whole = join(await read(await world.router.stream("Hello", { callbacks: [counter] })))
    const kinds = counter.events.map((event) =>
      event
        .split(" ")
        .slice(0, event.endsWith("end") ? 2 : 1)
        .join(" "),
    )
    expect(kinds).toEqual(["chain", "llm", "llm end", "chain end"])
    expect(counter.tokens).toBe(usageOf(whole)?.total_tokens)
  })
})
