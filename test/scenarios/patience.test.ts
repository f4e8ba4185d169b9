import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import { ChatOpenAI } from "@langchain/openai"
import {
  CandidatesExhaustedError,
  ConfigError,
  DeadlineExceededError,
  healthBook,
  isRestart,
  memoryBudget,
  RouterChatModel,
  type RouterChatModelFields,
  StreamBrokenError,
} from "tierwise"
import { describe, expect, it } from "vitest"
import { deploymentOf, openWorld, replyMetadata, type World } from "./world.ts"

const deploymentsAsked = (world: World) => world.bodies().map(({ model }) => model)
const skipsOf = (world: World) =>
  (world.records.at(-1)?.attempts ?? []).flatMap((attempt) =>
    attempt.outcome === "skipped" ? [[attempt.deploymentId, attempt.because]] : [],
  )

/** Two models of one tier, of which the first is always asked first. */
function pairOver(world: World, options: Partial<RouterChatModelFields> = {}): RouterChatModel {
  return new RouterChatModel({
    tiers: ["light"],
    thresholds: [],
    deployments: [
      {
        ...deploymentOf(world.simulator, "light", "sim-small"),
        price: { inputPerMTok: 1, outputPerMTok: 1 },
      },
      {
        ...deploymentOf(world.simulator, "light", "sim-large"),
        price: { inputPerMTok: 9, outputPerMTok: 9 },
      },
    ],
    maxRetries: 0,
    ...options,
  })
}

const answererOf = async (router: RouterChatModel, options: object = {}) =>
  replyMetadata(await router.invoke("Hello", options)).deployment

describe("a deadline", () => {
  it("of a caller in haste says nothing of whoever was asked [A4.circuit-breakers]", async () => {
    await using world = await openWorld({ circuitBreaker: { failures: 1 }, maxRetries: 0 })
    world.simulator.script([{ model: "sim-small", delayMs: 2_000 }])
    await expect(world.router.invoke("Hello", { deadlineMs: 30 })).rejects.toBeInstanceOf(
      DeadlineExceededError,
    )
    expect(await answererOf(world.router)).toBe("sim-small")
    expect(skipsOf(world)).toEqual([])
  })

  it("of all calls counts against whoever has not begun in the whole of it, and against nobody else", async () => {
    await using world = await openWorld({
      circuitBreaker: { failures: 1 },
      maxRetries: 0,
      deadlineMs: 500,
    })
    world.simulator.script([
      { model: "sim-small", status: 500, delayMs: 250 },
      { model: "sim-medium", delayMs: 5_000 },
    ])
    // What was left of it when the second was asked was not its fault.
    await expect(world.router.invoke("Hello")).rejects.toBeInstanceOf(DeadlineExceededError)
    expect(await answererOf(world.router)).toBe("sim-medium")
    expect(skipsOf(world)).toEqual([["sim-small", "circuit-open"]])
    world.simulator.script([{ model: "sim-medium", delayMs: 5_000 }])
    await expect(world.router.invoke("Hello")).rejects.toBeInstanceOf(DeadlineExceededError)
    expect(await answererOf(world.router)).toBe("sim-large")
    expect(skipsOf(world)).toEqual([
      ["sim-small", "circuit-open"],
      ["sim-medium", "circuit-open"],
    ])
  })

  it("that is over in the middle of a stream begins nothing anew", async () => {
    await using world = await openWorld({ midStream: "restart", deadlineMs: 400 })
    world.simulator.script([
      { model: "sim-small", answer: "The sea is salty and wide.", drip: { bytes: 200, everyMs: 60 } },
    ])
    const chunks: boolean[] = []
    const reading = async () => {
      for await (const chunk of await world.router.stream("Hello")) chunks.push(isRestart(chunk))
    }
    await expect(reading()).rejects.toBeInstanceOf(StreamBrokenError)
    expect(chunks.length).toBeGreaterThan(0)
    expect(chunks).not.toContain(true)
    expect(deploymentsAsked(world)).toEqual(["sim-small"])
  })
})

describe("a deadline, also", () => {
  it("ends the wait for an equal call whose answer would be remembered", async () => {
    await using world = await openWorld()
    const { baseUrl: baseURL } = world.simulator
    // Answers that are no throw of the dice are waited for.
    const model = new ChatOpenAI({
      model: "sim-small",
      apiKey: "none",
      temperature: 0,
      configuration: { baseURL },
    })
    const router = new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      deployments: [{ ...deploymentOf(world.simulator, "light", "sim-small"), model }],
      cache: true,
    })
    const question = `Hello ${crypto.randomUUID()}`
    world.simulator.script([{ delayMs: 600 }])
    const first = router.invoke(question)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const startedAt = performance.now()
    await expect(router.invoke(question, { deadlineMs: 60 })).rejects.toBeInstanceOf(DeadlineExceededError)
    expect(performance.now() - startedAt).toBeLessThan(500)
    await first
  })

  it("ends a stream that nobody reads: its place and its money are free", async () => {
    await using world = await openWorld()
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 1 }] })
    const router = new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      deployments: [{ ...deploymentOf(world.simulator, "light", "sim-small"), limits: { concurrency: 1 } }],
      budget,
      deadlineMs: 250,
    })
    world.simulator.script([{ answer: "one two three four five six", drip: { bytes: 260, everyMs: 60 } }])
    const stream = await router.stream("Hello")
    expect(router.registry.list()).toMatchObject([{ inFlight: 1 }])
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(router.registry.list()).toMatchObject([{ inFlight: 0 }])
    expect(await budget.status({})).toMatchObject([{ held: 0 }])
    await router.invoke("Hello")
    const reading = async () => {
      for await (const _ of stream);
    }
    await expect(reading()).rejects.toBeInstanceOf(DeadlineExceededError)
  })
})

describe("a stall timer", () => {
  const reader = () => Object.assign(BaseCallbackHandler.fromMethods({}), { lc_prefer_streaming: true })

  it("lets an answer that handlers read along take as long as its words keep coming", async () => {
    await using world = await openWorld({ stallTimeoutMs: 300, maxRetries: 0 })
    world.simulator.script([
      { answer: "one two three four five six seven", drip: { bytes: 150, everyMs: 40 } },
    ])
    const startedAt = performance.now()
    const reply = await world.router.invoke("Hello", { callbacks: [reader()] })
    expect(reply.text).toBe("one two three four five six seven")
    expect(performance.now() - startedAt).toBeGreaterThan(400)
  })

  it("ends one whose words stop", async () => {
    await using world = await openWorld({ stallTimeoutMs: 60, maxRetries: 0 })
    world.simulator.script([{ answer: "one two three four", breaks: { how: "stalls", at: { chunks: 3 } } }])
    const asking = world.router.invoke("Hello", { callbacks: [reader()] })
    await expect(asking).rejects.toMatchObject({ code: "stream-broken", failure: "timeout" })
  })
})

describe("who has gone away in this very call", () => {
  it("is waited for, where a pause heals it and the deadline allows it [A4.graceful-degradation]", async () => {
    await using world = await openWorld()
    const router = pairOver(world, { deadlineMs: 5_000 })
    world.simulator.script([{ status: 429, retryAfter: { seconds: 1 }, times: 2 }])
    expect(await answererOf(router)).toBe("sim-small")
    expect(deploymentsAsked(world)).toEqual(["sim-small", "sim-large", "sim-small"])
  })

  it("is told of with the time, where it is too far away", async () => {
    await using world = await openWorld()
    world.simulator.script([{ status: 429, retryAfter: { seconds: 60 }, times: 2 }])
    const asking = pairOver(world, { deadlineMs: 5_000, now: () => 1_000_000 }).invoke("Hello")
    await expect(asking).rejects.toMatchObject({ code: "candidates-exhausted", retryAt: 1_060_000 })
  })

  it("is not tried again where others have been asked for a pause meanwhile", async () => {
    await using world = await openWorld()
    const health = healthBook()
    const router = pairOver(world, { maxRetries: 2, retryBaseMs: 200, random: () => 0.999, health })
    world.simulator.script([{ model: "sim-small", status: 500, times: 3 }])
    const asking = answererOf(router)
    await expect.poll(() => deploymentsAsked(world)).toEqual(["sim-small"])
    health.cool("sim-small", Date.now() + 60_000, "rate-limited")
    expect(await asking).toBe("sim-large")
    expect(deploymentsAsked(world)).toEqual(["sim-small", "sim-large"])
  })

  it("is asked again within the retry budget alone", async () => {
    await using world = await openWorld()
    const retryBudget = { called: () => {}, take: () => false }
    const router = pairOver(world, { deadlineMs: 5_000, retryBudget })
    world.simulator.script([{ status: 429, retryAfter: { seconds: 0 }, times: 2 }])
    await router.invoke("Hello").catch(() => {})
    expect(deploymentsAsked(world)).toEqual(["sim-small", "sim-large"])
  })
})

describe("who waits behind a probe", () => {
  it("goes on when the probe has answered, not when its time is up", async () => {
    await using world = await openWorld()
    const router = new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      deployments: [deploymentOf(world.simulator, "light", "sim-small")],
      maxRetries: 0,
      deadlineMs: 20_000,
      circuitBreaker: { failures: 1, openMs: 1, probeLeaseMs: 10_000 },
    })
    world.simulator.script([{ status: 500 }, { delayMs: 150 }])
    await router.invoke("Hello").catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 5))
    const probe = router.invoke("Hello")
    const startedAt = performance.now()
    const behind = router.invoke("Hello")
    await Promise.all([probe, behind])
    // Ten seconds, if it slept to the end of the probe's lease.
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })
})

describe("who is away while the others cannot be paid", () => {
  const poor = () => memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 0.01 }] })

  it("is waited for", async () => {
    await using world = await openWorld()
    const health = healthBook()
    const router = pairOver(world, {
      budget: poor(),
      deadlineMs: 5_000,
      maxOutputTokens: 4_000,
      health,
    })
    health.cool("sim-small", Date.now() + 120, "overloaded")
    expect(await answererOf(router)).toBe("sim-small")
    expect(deploymentsAsked(world)).toEqual(["sim-small"])
  })

  it("is named in the error, with the time when it may be back", async () => {
    await using world = await openWorld()
    const options = { budget: poor(), maxOutputTokens: 4_000, now: () => 1_000_000, random: () => 0.5 }
    const router = pairOver(world, { ...options, circuitBreaker: { failures: 1, openMs: 60_000 } })
    world.simulator.script([{ model: "sim-small", status: 500 }])
    await router.invoke("Hello").catch(() => {})
    const asking = router.invoke("Hello")
    await expect(asking).rejects.toMatchObject({
      code: "candidates-exhausted",
      retryAt: 1_060_000,
      attempts: [
        { deploymentId: "sim-small", because: "circuit-open" },
        { deploymentId: "sim-large", because: "unaffordable" },
      ],
    })
  })

  it("takes nothing from anybody's limit who was never sent", async () => {
    await using world = await openWorld()
    const router = new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      deployments: [
        {
          ...deploymentOf(world.simulator, "light", "sim-small"),
          limits: { requestsPerMinute: 2, tokensPerMinute: 9_000 },
        },
      ],
      budget: memoryBudget({ limits: [{ scope: "tenant", id: "poor", window: "total", usd: 1e-9 }] }),
    })
    for (let call = 0; call < 5; call++) {
      const asking = router.invoke("Hello", { scopes: { tenant: "poor" } })
      await expect(asking).rejects.toMatchObject({ code: "budget-exceeded" })
    }
    for (let call = 0; call < 2; call++) await router.invoke("Hello", { scopes: { tenant: "rich" } })
    expect(deploymentsAsked(world)).toHaveLength(2)
  })
})

describe("whoever has no room", () => {
  it("is waited for in a line alone, whatever time is left", async () => {
    await using world = await openWorld()
    const limits = { requestsPerMinute: 1 }
    const router = new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      deployments: [{ ...deploymentOf(world.simulator, "light", "sim-small"), limits }],
      deadlineMs: 120_000,
    })
    await router.invoke("Hello")
    const asking = router.invoke("Hello")
    await expect(asking).rejects.toBeInstanceOf(CandidatesExhaustedError)
    await expect(asking).rejects.toMatchObject({ retryAt: expect.any(Number) })
  })

  it("and never will is waited for by nobody", async () => {
    await using world = await openWorld()
    const limits = { tokensPerMinute: 5_000 }
    const router = new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      deployments: [
        { ...deploymentOf(world.simulator, "light", "sim-small"), limits, maxOutputTokens: 4_096 },
      ],
      waitingLine: { timeoutMs: 60_000 },
      deadlineMs: 120_000,
    })
    await expect(router.invoke("word ".repeat(2_000))).rejects.toMatchObject({
      code: "candidates-exhausted",
      attempts: [{ because: "too-large" }],
    })
  })

  it("for any call at all is a mistake", async () => {
    await using world = await openWorld()
    const one = deploymentOf(world.simulator, "light", "sim-small")
    const open = (limits: object) =>
      new RouterChatModel({
        tiers: ["light"],
        thresholds: [],
        maxOutputTokens: 1_000,
        deployments: [{ ...one, limits }],
      })
    expect(() => open({ tokensPerMinute: 1_000 })).toThrow(ConfigError)
    expect(() => open({ tokensPerMinute: 1_000 })).toThrow("deployments[0].limits.tokensPerMinute")
    open({ tokensPerMinute: 1_001 })
  })
})

describe("turns", () => {
  it("are taken within a tier, by calls that are made", async () => {
    await using world = await openWorld()
    const of = (tier: string, model: string, ids: readonly string[]) =>
      ids.map((id) => ({ ...deploymentOf(world.simulator, tier, model), id }))
    const router = new RouterChatModel({
      tiers: ["light", "heavy"],
      order: "round-robin",
      deployments: [
        ...of("light", "sim-small", ["l1", "l2"]),
        ...of("heavy", "sim-large", ["h1", "h2", "h3"]),
      ],
    })
    const asked: string[] = []
    for (let turn = 0; turn < 6; turn++) {
      asked.push(await answererOf(router, { tier: "light" }))
      await router.explain("Hello", { tier: "light" })
      await router.quote("Hello", { tier: "light" })
      asked.push(await answererOf(router, { tier: "heavy" }))
    }
    const light = asked.filter((id) => id.startsWith("l"))
    const heavy = asked.filter((id) => id.startsWith("h"))
    for (let turn = 0; turn < 6; turn += 2) expect(new Set(light.slice(turn, turn + 2)).size).toBe(2)
    for (let turn = 0; turn < 6; turn += 3) expect(new Set(heavy.slice(turn, turn + 3)).size).toBe(3)
  })

  it.each(["round-robin", "least-in-flight", "lowest-latency"] as const)(
    "are fair among many calls of one moment (%s)",
    async (order) => {
      await using world = await openWorld()
      const router = new RouterChatModel({
        tiers: ["light"],
        thresholds: [],
        order,
        deployments: ["a", "b"].map((id) => ({
          ...deploymentOf(world.simulator, "light", "sim-small"),
          id,
        })),
      })
      for (let call = 0; call < 2; call++) await router.invoke("Hello")
      const answers = await Promise.all(Array.from({ length: 20 }, () => answererOf(router)))
      // How fast each was in its one call so far has a say too.
      const least = order === "lowest-latency" ? 1 : 8
      for (const one of ["a", "b"]) {
        expect(answers.filter((id) => id === one).length).toBeGreaterThanOrEqual(least)
      }
    },
  )
})
