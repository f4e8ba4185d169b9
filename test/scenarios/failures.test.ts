import { CandidatesExhaustedError, FallbackChain, lowConfidence, memoryBudget } from "tierwise"
import { describe, expect, it } from "vitest"
import { chatModel, openWorld, RunCounter, replyMetadata } from "./world.ts"

describe("when a provider fails", () => {
  it("falls back to the next candidate and says so [A1.max-fallback-attempts]", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", status: 401 }])
    const reply = await world.router.invoke("Hello")
    expect(replyMetadata(reply)).toMatchObject({
      tier: "standard",
      attempts: [
        { deployment: "sim-small", outcome: "failed", because: "authentication" },
        { deployment: "sim-medium" },
      ],
    })
  })

  it("retries what a pause may heal at the same candidate, and never lets the package retry on its own", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", status: 500, times: 2 }])
    const reply = await world.router.invoke("Hello")
    expect(replyMetadata(reply).tier).toBe("light")
    expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small", "sim-small", "sim-small"])
  })

  it("gives up after all candidates, with every attempt, holding no money", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    await using world = await openWorld({ budget, maxRetries: 0 })
    world.simulator.script([{ status: 500, times: 10 }])
    const error = await world.router.invoke("Hello").catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CandidatesExhaustedError)
    expect((error as CandidatesExhaustedError).attempts).toHaveLength(3)
    expect(await budget.status({})).toMatchObject([{ spent: 0, held: 0 }])
    expect(world.records[0]).toMatchObject({ cost: 0, answeredBy: undefined })
  })

  it("throws the caller's own mistake as the provider said it, and asks nobody else", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", status: 400 }])
    await expect(world.router.invoke("Hello")).rejects.toMatchObject({
      status: 400,
      name: expect.any(String),
    })
    expect(world.bodies()).toHaveLength(1)
  })

  it("asks the provider N+1 times for a batch of N in which one fails", async () => {
    await using world = await openWorld()
    world.simulator.script([{ status: 401 }])
    const replies = await world.router.batch(["Hello", "Hi there", "Good morning", "Good evening"])
    expect(replies).toHaveLength(4)
    expect(world.bodies()).toHaveLength(5)
  })

  it("falls back when an attempt takes too long", async () => {
    await using world = await openWorld({ attemptTimeoutMs: 60 })
    world.simulator.script([{ model: "sim-small", delayMs: 2_000 }])
    const reply = await world.router.invoke("Hello")
    expect(replyMetadata(reply).attempts).toMatchObject([{ because: "timeout" }, { outcome: "answered" }])
  })

  it("rethrows the caller's abort and falls back to nobody [L1.abort-signals]", async () => {
    await using world = await openWorld()
    world.simulator.script([{ delayMs: 5_000 }])
    const abort = new AbortController()
    const asked = world.router.invoke("Hello", { signal: abort.signal })
    setTimeout(() => abort.abort(new Error("enough")), 50)
    await expect(asked).rejects.toThrow("enough")
    expect(world.records[0]?.attempts).toMatchObject([{ failure: "aborted" }])
  })
})

describe("when an answer is not good enough", () => {
  const unsure = "I'm not sure, it could be anything."

  it("escalates one tier and returns the better answer, adding up both costs [A3.failed-check-next] [A4.retry-more-capable] [C3.escalate-uncertain]", async () => {
    await using world = await openWorld({ validator: lowConfidence() })
    world.simulator.script([{ model: "sim-small", answer: unsure }])
    const reply = await world.router.invoke("Hello")
    expect(reply.text).not.toContain("not sure")
    expect(replyMetadata(reply)).toMatchObject({ tier: "standard", reason: "escalated" })
    const [record] = world.records
    expect(record?.verdicts.map(({ verdict }) => verdict.accepted)).toEqual([false, true])
    expect(record?.decisions.map(({ tier }) => tier)).toEqual(["light", "standard"])
    expect(record?.cost).toBe(
      world.simulator.invoices().reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0),
    )
  })

  it("returns the top tier's answer as it is, with its verdict", async () => {
    await using world = await openWorld({ validator: lowConfidence() })
    world.simulator.script([{ answer: unsure, times: 3 }])
    const reply = await world.router.invoke("Hello")
    expect(reply.text).toBe(unsure)
    expect(replyMetadata(reply)).toMatchObject({
      tier: "heavy",
      rejected: expect.stringContaining("not sure"),
    })
  })

  it("does not climb above the ceiling", async () => {
    await using world = await openWorld({ validator: lowConfidence() })
    world.simulator.script([{ answer: unsure, times: 3 }])
    const reply = await world.router.invoke("Hello", { agentSpec: { maxTier: "standard" } })
    expect(replyMetadata(reply).tier).toBe("standard")
    expect(world.bodies()).toHaveLength(2)
  })

  it("prefers the answer in hand to an error from the tier above", async () => {
    await using world = await openWorld({ validator: lowConfidence(), maxRetries: 0 })
    world.simulator.script([
      { model: "sim-small", answer: unsure },
      { status: 500, times: 5 },
    ])
    const reply = await world.router.invoke("Hello")
    expect(reply.text).toBe(unsure)
    expect(replyMetadata(reply)).toMatchObject({
      tier: "light",
      reason: "estimated",
      rejected: expect.any(String),
    })
    expect(world.records[0]?.problems).toMatchObject([{ room: "dispatch" }])
  })

  it("lets an abort through, also with an answer in hand", async () => {
    await using world = await openWorld({ validator: lowConfidence() })
    world.simulator.script([{ model: "sim-small", answer: unsure }, { delayMs: 5_000 }])
    const abort = new AbortController()
    const asked = world.router.invoke("Hello", { signal: abort.signal })
    setTimeout(() => abort.abort(new Error("enough")), 80)
    await expect(asked).rejects.toThrow("enough")
  })

  it("ignores a validator that throws, and writes it down", async () => {
    const validator = {
      name: "broken",
      validate: () => {
        throw new Error("oops")
      },
    }
    await using world = await openWorld({ validator })
    await world.router.invoke("Hello")
    expect(world.records[0]?.problems).toEqual([{ room: "validation", error: "broken: oops" }])
  })
})

describe("FallbackChain over chat models", () => {
  it("answers from the tier that can, with one LLM run per call [L2.fallback-over-chat-models] [E6.answering-tier]", async () => {
    await using world = await openWorld()
    const { simulator } = world
    const chain = new FallbackChain({
      links: [
        { tier: "light", runnable: chatModel(simulator, "sim-small") },
        { tier: "heavy", runnable: chatModel(simulator, "sim-large") },
      ],
    })
    simulator.script([{ model: "sim-small", status: 401 }])
    const counter = new RunCounter()
    const { output, answeredBy } = await chain.answer("Hello", { callbacks: [counter] })
    expect(answeredBy.tier).toBe("heavy")
    expect((output as { text: string }).text).not.toBe("")
    expect(counter.events.filter((event) => event.startsWith("llm") && event !== "llm end")).toHaveLength(2)
    expect(world.bodies()).toHaveLength(2)
  })
})
