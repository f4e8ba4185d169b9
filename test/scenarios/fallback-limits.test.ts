import { setTimeout as pause } from "node:timers/promises"
import { InMemoryCache } from "@langchain/core/caches"
import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import { AIMessage } from "@langchain/core/messages"
import { RunnableLambda } from "@langchain/core/runnables"
import { fakeModel } from "@langchain/core/testing"
import type { ScriptedFault, Simulator } from "@tierwise/simulator"
import {
  CandidatesExhaustedError,
  ConfigError,
  DeadlineExceededError,
  FallbackChain,
  type FallbackChainFields,
  healthBook,
  InvalidRequestError,
  StreamBrokenError,
} from "tierwise"
import { describe, expect, it } from "vitest"
import { chatModel, deploymentOf, openWorld, type World } from "./world.ts"

type Settings = Omit<FallbackChainFields<unknown, unknown>, "links">

/** A small model and a large one; its ids are the router's. */
const chainOver = (simulator: Simulator, settings: Settings = {}) =>
  new FallbackChain({
    links: [
      { id: "sim-small", tier: "light", runnable: chatModel(simulator, "sim-small") },
      { id: "sim-large", tier: "heavy", runnable: chatModel(simulator, "sim-large") },
    ],
    retryBaseMs: 1,
    maxRetries: 0,
    ...settings,
  })

const down = (times: number) => [{ model: "sim-small", status: 500, times }]

const callsOf = (world: World, model: string) => world.bodies().filter((body) => body.model === model).length

/** What a reader has in the end. */
async function read<Piece>(stream: AsyncIterable<Piece>) {
  const pieces: Piece[] = []
  try {
    for await (const piece of stream) pieces.push(piece)
  } catch (error) {
    return { pieces, error }
  }
  return { pieces, error: undefined }
}

const textOf = (pieces: readonly { readonly text: string }[]) => pieces.map(({ text }) => text).join("")

const clockAt = (at: number) => ({ at })

describe("a chain's circuit breaker", () => {
  it("leaves a link alone after so many failures, and has one call find out while all others go on", async () => {
    const clock = clockAt(Date.now())
    await using world = await openWorld()
    const chain = chainOver(world.simulator, {
      circuitBreaker: { failures: 3, openMs: 1_000 },
      now: () => clock.at,
      random: () => 0.5,
    })
    world.simulator.script([...down(3), { model: "sim-small", delayMs: 60_000 }, ...down(1)])
    for (let call = 0; call < 3; call++) await chain.invoke("Hello")
    expect((await chain.answer("Hello")).attempts).toMatchObject([
      { deploymentId: "sim-small", outcome: "skipped", because: "circuit-open" },
      { deploymentId: "sim-large", outcome: "answered" },
    ])
    expect(callsOf(world, "sim-small")).toBe(3)
    clock.at += 1_200
    const callers = Array.from({ length: 20 }, () => new AbortController())
    const answered = new Set<AbortController>()
    const { promise: allButOne, resolve } = Promise.withResolvers<void>()
    const asked = callers.map(async (caller) => {
      await chain.invoke("Hello", { signal: caller.signal })
      answered.add(caller)
      if (answered.size === 19) resolve()
    })
    // They are answered while the probe still waits for its answer; its caller leaves, which says nothing.
    await allButOne
    for (const caller of callers) if (!answered.has(caller)) caller.abort()
    const left = (await Promise.allSettled(asked)).filter(({ status }) => status === "rejected")
    expect([left.length, callsOf(world, "sim-small")]).toEqual([1, 4])
    // The next probe fails: it is left alone for twice as long, and the one after finds it well.
    expect((await chain.answer("Hello")).attempts).toMatchObject([
      { deploymentId: "sim-small", failure: "server-error" },
      { deploymentId: "sim-large" },
    ])
    clock.at += 1_200
    expect((await chain.answer("Hello")).answeredBy.deploymentId).toBe("sim-large")
    clock.at += 1_000
    expect((await chain.answer("Hello")).answeredBy.deploymentId).toBe("sim-small")
  })

  it("is one for all that is made of the chain, and learns from streams that break off", async () => {
    await using world = await openWorld()
    const chain = chainOver(world.simulator, { circuitBreaker: { failures: 2 } })
    world.simulator.script([{ model: "sim-small", breaks: { how: "ends", at: "first-token" }, times: 2 }])
    expect((await read(await chain.withConfig({ tags: ["a"] }).stream("Hello"))).error).toBeDefined()
    expect((await read(await chain.stream("Hello"))).error).toBeDefined()
    const schema = { title: "flags", type: "object", properties: { done: { type: "boolean" } } }
    world.simulator.script([{ answer: '{"done": true}' }])
    const { attempts } = await chain.withStructuredOutput(schema).answer("Are we done?")
    expect(attempts).toMatchObject([{ because: "circuit-open" }, { outcome: "answered" }])
  })

  it("is not moved by a caller who aborts, or whose request is wrong", async () => {
    await using world = await openWorld()
    const chain = chainOver(world.simulator, { circuitBreaker: { failures: 1 } })
    world.simulator.script([
      { model: "sim-small", status: 400 },
      { model: "sim-small", delayMs: 5_000 },
    ])
    await expect(chain.invoke("Hello")).rejects.toMatchObject({ status: 400 })
    await expect(chain.invoke("Hello", { signal: AbortSignal.timeout(30) })).rejects.toThrow(/abort|time/i)
    expect((await chain.answer("Hello")).answeredBy.deploymentId).toBe("sim-small")
  })

  it("can be switched off", async () => {
    await using world = await openWorld()
    world.simulator.script(down(8))
    const chain = chainOver(world.simulator, { circuitBreaker: false })
    for (let call = 0; call < 8; call++) await chain.invoke("Hello")
    expect(callsOf(world, "sim-small")).toBe(8)
  })

  it("watches over links of any kind", async () => {
    let asked = 0
    const links = [
      {
        tier: "own",
        runnable: RunnableLambda.from((text: string): string => {
          asked++
          throw Object.assign(new Error(text), { status: 500 })
        }),
      },
      { tier: "shelf", runnable: RunnableLambda.from((text: string) => text) },
    ]
    const chain = new FallbackChain({ links, maxRetries: 0, circuitBreaker: { failures: 2 } })
    for (let call = 0; call < 5; call++) expect(await chain.invoke("Hello")).toBe("Hello")
    expect(asked).toBe(2)
  })
})

describe("a chain's links that ask for a pause", () => {
  it("get it", async () => {
    const clock = clockAt(Date.now())
    await using world = await openWorld()
    const chain = chainOver(world.simulator, { now: () => clock.at })
    world.simulator.script([{ model: "sim-small", status: 429, retryAfter: { seconds: 30 } }])
    await chain.invoke("Hello")
    const { attempts } = await chain.answer("Hello")
    expect(attempts).toMatchObject([{ outcome: "skipped", because: "cooling-down" }, { outcome: "answered" }])
    clock.at += 29_000
    expect((await chain.answer("Hello")).answeredBy.deploymentId).toBe("sim-large")
    clock.at += 1_001
    expect((await chain.answer("Hello")).answeredBy.deploymentId).toBe("sim-small")
  })

  it("are told with their end when nobody else is there", async () => {
    const now = Date.now()
    await using world = await openWorld()
    const runnable = chatModel(world.simulator, "sim-small")
    const chain = new FallbackChain({ links: [{ tier: "only", runnable }], now: () => now })
    world.simulator.script([{ status: 429, retryAfter: { seconds: 60 } }])
    await expect(chain.invoke("Hello")).rejects.toBeInstanceOf(CandidatesExhaustedError)
    await expect(chain.invoke("Hello")).rejects.toMatchObject({
      code: "candidates-exhausted",
      retryAt: now + 60_000,
      attempts: [{ because: "cooling-down" }],
    })
    expect(world.bodies()).toHaveLength(1)
  })
})

describe("a health book", () => {
  it("is shared by a chain and a router, by the ids of links and deployments", async () => {
    const health = healthBook({ breaker: { failures: 2 } })
    await using world = await openWorld()
    const chain = chainOver(world.simulator, { health })
    await using other = await openWorld({
      health,
      maxRetries: 0,
      tiers: ["light", "heavy"],
      deployments: [
        deploymentOf(world.simulator, "light", "sim-small"),
        deploymentOf(world.simulator, "heavy", "sim-large"),
      ],
    })
    world.simulator.script(down(2))
    await chain.invoke("Hello")
    world.simulator.script([{ model: "sim-large", status: 401 }])
    await expect(other.router.invoke("Hello")).rejects.toBeInstanceOf(CandidatesExhaustedError)
    // Each has seen one failure: together they are two, and the circuit is open for both.
    expect(health.report("sim-small")).toMatchObject({ breaker: "open" })
    // The router's has asked the large one too, which refused its key.
    expect(health.report("sim-large")).toMatchObject({ because: "authentication" })
    await expect(chain.invoke("Hello")).rejects.toMatchObject({
      attempts: [{ because: "circuit-open" }, { because: "cooling-down" }],
    })
    expect(world.bodies()).toHaveLength(4)
  })
})

describe("a chain's deadline", () => {
  it("ends all of it, whoever is being asked", async () => {
    await using world = await openWorld()
    const chain = chainOver(world.simulator, { deadlineMs: 150, attemptTimeoutMs: 80 })
    world.simulator.script([{ delayMs: 5_000, times: 4 }])
    const failed = await chain.invoke("Hello").catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(DeadlineExceededError)
    expect(failed).toMatchObject({ deadlineMs: 150 })
    const { attempts } = failed as DeadlineExceededError
    expect(attempts[0]).toMatchObject({ deploymentId: "sim-small", failure: "timeout" })
    expect(attempts.every(({ outcome }) => outcome === "failed")).toBe(true)
    await expect(chain.stream("Hello")).rejects.toBeInstanceOf(DeadlineExceededError)
  })

  it("is a call's own where it names one", async () => {
    await using world = await openWorld()
    const chain = chainOver(world.simulator, { deadlineMs: 20_000 })
    world.simulator.script([{ delayMs: 5_000, times: 3 }])
    await expect(chain.invoke("Hello", { deadlineMs: 40 })).rejects.toMatchObject({ deadlineMs: 40 })
    const bound = chain.withConfig({ deadlineMs: 30 })
    await expect(bound.invoke("Hello")).rejects.toMatchObject({ deadlineMs: 30 })
    expect(world.bodies()[0]).not.toHaveProperty("deadlineMs")
    await expect(chain.invoke("Hello", { deadlineMs: -1 })).rejects.toMatchObject({
      constructor: InvalidRequestError,
      path: "deadlineMs",
    })
  })

  it("ends links of any kind, also deaf ones", async () => {
    const deaf = Object.assign(
      RunnableLambda.from((text: string) => text),
      { invoke: () => new Promise<string>(() => {}) },
    )
    const chain = new FallbackChain({ links: [{ tier: "only", runnable: deaf }], deadlineMs: 30 })
    await expect(chain.invoke("Hello")).rejects.toBeInstanceOf(DeadlineExceededError)
  })

  it("leaves a caller's abort what it is, also where the end is late", async () => {
    await using world = await openWorld()
    const book = healthBook()
    const enter = async (key: string) => pause(60).then(() => book.enter(key))
    const health = { ...book, enter }
    const chain = chainOver(world.simulator, { deadlineMs: 30, health })
    const abort = new AbortController()
    const asked = chain.invoke("Hello", { signal: abort.signal })
    setTimeout(() => abort.abort(new Error("enough")), 5)
    await expect(asked).rejects.toMatchObject({ message: "enough" })
    expect(world.bodies()).toHaveLength(0)
  })

  it("breaks off an answer that goes on too long, and its reader keeps the words", async () => {
    await using world = await openWorld()
    const chain = chainOver(world.simulator, { deadlineMs: 500 })
    world.simulator.script([{ answer: "One two three.", breaks: { how: "stalls", at: { chunks: 3 } } }])
    const { pieces, error } = await read(await chain.stream("Hello"))
    expect(error).toMatchObject({ code: "stream-broken", failure: "timeout", partial: textOf(pieces) })
    expect(textOf(pieces)).not.toBe("")
  })
})

describe("a chain's stream that breaks off", () => {
  const ANSWER = "One two three four five."

  it.each<ScriptedFault>([{ breaks: { how: "ends", at: "start" } }, { breaks: { how: "cut", at: "start" } }])(
    "is the next link's before its first words (%o)",
    async (fault) => {
      await using world = await openWorld()
      world.simulator.script([{ ...fault, model: "sim-small" }, { answer: ANSWER }])
      const { pieces, error } = await read(await chainOver(world.simulator).stream("Count"))
      expect([textOf(pieces), error]).toEqual([ANSWER, undefined])
    },
  )

  it.each(["ends", "cut", "unfinished"] as const)(
    "is an error with the words that came after them (%s) [N5.truncated-not-success]",
    async (how) => {
      await using world = await openWorld()
      world.simulator.script([{ model: "sim-small", answer: ANSWER, breaks: { how, at: { chunks: 4 } } }])
      const { pieces, error } = await read(await chainOver(world.simulator).stream("Count"))
      expect(textOf(pieces)).not.toBe("")
      expect(error).toBeInstanceOf(StreamBrokenError)
      expect(error).toMatchObject({
        deploymentId: "sim-small",
        failure: "truncated",
        partial: textOf(pieces),
        cost: 0,
      })
      expect((error as Error).cause).toBeInstanceOf(Error)
      expect(world.bodies()).toHaveLength(1)
    },
  )

  it("is one too where a stall ends it", async () => {
    await using world = await openWorld()
    world.simulator.script([{ answer: ANSWER, breaks: { how: "stalls", at: { chunks: 4 } } }])
    const { error } = await read(await chainOver(world.simulator, { stallTimeoutMs: 40 }).stream("Count"))
    expect(error).toMatchObject({ code: "stream-broken", failure: "timeout" })
  })

  it("is no answer of `invoke` either, where a handler reads along [N5.truncated-not-success]", async () => {
    await using world = await openWorld()
    const reader = Object.assign(BaseCallbackHandler.fromMethods({}), { lc_prefer_streaming: true })
    const ask = () => chainOver(world.simulator).invoke("Count", { callbacks: [reader] })
    world.simulator.script([{ answer: ANSWER, breaks: { how: "ends", at: { chunks: 4 } } }])
    await expect(ask()).rejects.toMatchObject({ code: "stream-broken", failure: "truncated", partial: "" })
    expect((await ask()).text).not.toBe("")
  })

  it("is an error under a schema too, though its half parses [N5.truncated-not-success]", async () => {
    const schema = {
      title: "numbers",
      type: "object",
      properties: { list: { type: "array", items: { type: "integer" } } },
      required: ["list"],
      additionalProperties: false,
    }
    const answer = '{"list": [1, 2, 3, 4, 5, 6, 7, 8]}'
    await using world = await openWorld()
    const chain = chainOver(world.simulator).withStructuredOutput(schema, { method: "jsonSchema" })
    world.simulator.script([{ answer, breaks: { how: "ends", at: { chunks: 9 } } }])
    const broken = await read(await chain.stream("Count"))
    expect(broken.pieces.at(-1)).toHaveProperty("list")
    expect(broken.error).toMatchObject({ code: "stream-broken", failure: "truncated", partial: "" })
    world.simulator.script([{ answer }])
    const whole = await read(await chain.stream("Count"))
    expect([whole.pieces.at(-1), whole.error]).toEqual([{ list: [1, 2, 3, 4, 5, 6, 7, 8] }, undefined])
  })

  it("is whole where its link says that its model does not say why it ends", async () => {
    await using world = await openWorld()
    const runnable = chatModel(world.simulator, "sim-small")
    const links = [{ tier: "only", runnable, reportsFinishReason: false }]
    world.simulator.script([{ answer: ANSWER, breaks: { how: "ends", at: { chunks: 4 } } }])
    const { pieces, error } = await read(await new FallbackChain({ links }).stream("Count"))
    expect(error).toBeUndefined()
    expect(textOf(pieces)).not.toBe("")
  })

  it("is no failure where its caller ended it", async () => {
    await using world = await openWorld()
    world.simulator.script([{ answer: ANSWER, breaks: { how: "stalls", at: { chunks: 4 } } }])
    const abort = new AbortController()
    const stream = await chainOver(world.simulator).stream("Count", { signal: abort.signal })
    setTimeout(() => abort.abort(new Error("enough")), 20)
    const { error } = await read(stream)
    expect(error).toBeInstanceOf(Error)
    expect(error).not.toBeInstanceOf(StreamBrokenError)
  })

  it("is told once, by the innermost of several chains and routers", async () => {
    await using world = await openWorld()
    const chain = new FallbackChain({ links: [{ id: "outer", tier: "only", runnable: world.router }] })
    world.simulator.script([{ answer: ANSWER, breaks: { how: "ends", at: { chunks: 4 } } }])
    const { error } = await read(await chain.stream("Hello"))
    expect(error).toMatchObject({ code: "stream-broken", deploymentId: "sim-small" })
    // It was the router that booked it.
    expect((error as StreamBrokenError).cost).toBe(world.records[0]?.cost)
    expect(world.records[0]?.cost).toBeGreaterThan(0)
  })

  it("says nothing of links that judge for themselves, whose models say different things", async () => {
    await using world = await openWorld()
    const inner = new FallbackChain({
      links: [
        { tier: "loud", runnable: chatModel(world.simulator, "sim-small") },
        { tier: "silent", runnable: fakeModel().respond(new AIMessage("All is well.")) },
      ],
      maxRetries: 0,
    })
    const outer = new FallbackChain({ links: [{ tier: "only", runnable: inner }] })
    await outer.invoke("Hello")
    world.simulator.script(down(1))
    expect((await outer.invoke("Hello")).text).toBe("All is well.")
  })
})

describe("a link with a cache of its own", () => {
  it("may give what it gave before, also where that was streamed to somebody", async () => {
    await using world = await openWorld()
    const reader = Object.assign(BaseCallbackHandler.fromMethods({}), { lc_prefer_streaming: true })
    const runnable = Object.assign(chatModel(world.simulator, "sim-small"), { cache: new InMemoryCache() })
    const chain = new FallbackChain({ links: [{ tier: "only", runnable }] })
    const first = await chain.invoke("Hello", { callbacks: [reader] })
    expect((await chain.invoke("Hello")).text).toBe(first.text)
    expect(world.bodies()).toHaveLength(1)
  })

  it("is believed by what it kept, though that says no more why it ended", async () => {
    await using world = await openWorld()
    const kept = [{ text: "Kept.", message: new AIMessage("Kept.") }]
    const cache = Object.assign(new InMemoryCache(), { lookup: async () => kept })
    const runnable = Object.assign(chatModel(world.simulator, "sim-small"), { cache })
    const chain = new FallbackChain({ links: [{ tier: "only", runnable }] })
    expect((await chain.invoke("Hello")).text).toBe("Kept.")
  })
})

describe("a chain is refused", () => {
  const runnable = RunnableLambda.from((text: string) => text)
  const links = [{ tier: "light", runnable }]

  it.each<[path: string, settings: object]>([
    ["deadlineMs", { deadlineMs: 0 }],
    ["deadlineMs", { deadlineMs: "5s" }],
    ["stallTimeoutMs", { stallTimeoutMs: -1 }],
    ["attemptTimeoutMs", { attemptTimeoutMs: 2 ** 31 }],
    ["circuitBreaker", { circuitBreaker: true }],
    ["circuitBreaker.failures", { circuitBreaker: { failures: 0 } }],
    ["circuitBreaker.window.share", { circuitBreaker: { window: { calls: 5, share: 2 } } }],
    ["health", { health: {} }],
    ["retryBudget", { retryBudget: {} }],
    ["failureHandling", { failureHandling: 7 }],
    ["now", { now: 5 }],
    ["random", { random: 0.5 }],
    ["deadLine", { deadLine: 5 }],
    ["links[0].tier", { links: [{ runnable }] }],
    ["links[0].id", { links: [{ tier: "light", id: "", runnable }] }],
    ["links[0].reportsFinishReason", { links: [{ tier: "light", runnable, reportsFinishReason: true }] }],
    ["links[0].reportsFinishReason", { links: [{ tier: "light", runnable, reportsFinishReason: "no" }] }],
    ["links[0].model", { links: [{ tier: "light", runnable, model: runnable }] }],
    ["links[0]", { links: [undefined] }],
  ])("for a wrong %s", (path, settings) => {
    expect(() => new FallbackChain({ links, ...settings })).toThrow(
      expect.objectContaining({ constructor: ConfigError, path }),
    )
  })
})
