import { FakeListChatModel } from "@langchain/core/utils/testing"
import {
  CandidatesExhaustedError,
  ConfigError,
  healthBook,
  isRestart,
  memoryBudget,
  RouterChatModel,
  type RouterChatModelFields,
  type TrafficLimit,
} from "tierwise"
import { describe, expect, it } from "vitest"
import { talking } from "./registry-world.ts"
import { deploymentOf, openWorld, replyMetadata, type World } from "./world.ts"

const deploymentsAsked = (world: World) => world.bodies().map(({ model }) => model)
const skipsOf = (world: World) =>
  (world.records.at(-1)?.attempts ?? []).flatMap((attempt) =>
    attempt.outcome === "skipped" ? [[attempt.deploymentId, attempt.because]] : [],
  )

/** A clock that is moved by hand. */
const clockAt = (at: number) => ({ at })

/** One model, so that nobody can stand in for it. */
async function openLonelyWorld(
  options: Partial<RouterChatModelFields> = {},
  more: object = {},
): Promise<World> {
  const lonely = await openWorld()
  const records: World["records"][number][] = []
  const router = new RouterChatModel({
    tiers: ["light"],
    thresholds: [],
    deployments: [{ ...deploymentOf(lonely.simulator, "light", "sim-small"), ...more }],
    retryBaseMs: 1,
    maxRetries: 0,
    ...options,
    observers: [{ on: (event) => void (event.type === "request-ended" && records.push(event.record)) }],
  })
  return { ...lonely, router, records }
}

describe("a circuit breaker", () => {
  it("stops asking who keeps failing, and lets one call find out [A4.circuit-breakers] [C8.circuit-breaker]", async () => {
    const clock = clockAt(Date.now())
    const circuitBreaker = { failures: 3, openMs: 1_000 }
    await using world = await openWorld({
      maxRetries: 0,
      circuitBreaker,
      now: () => clock.at,
      random: () => 0.5,
    })
    world.simulator.script([{ model: "sim-small", status: 500, times: 4 }])
    for (let call = 0; call < 3; call++) await world.router.invoke("Hello")
    expect(deploymentsAsked(world).filter((model) => model === "sim-small")).toHaveLength(3)
    await world.router.invoke("Hello")
    expect(skipsOf(world)).toEqual([["sim-small", "circuit-open"]])
    clock.at += 1_200
    // The probe fails, and it opens for twice as long; the next one is answered.
    await world.router.invoke("Hello")
    clock.at += 1_200
    await world.router.invoke("Hello")
    expect(skipsOf(world)).toEqual([["sim-small", "circuit-open"]])
    clock.at += 1_200
    expect(replyMetadata(await world.router.invoke("Hello")).deployment).toBe("sim-small")
  })

  it("is not moved by a caller who aborts, or whose request is wrong", async () => {
    await using world = await openWorld({ maxRetries: 0, circuitBreaker: { failures: 1 } })
    world.simulator.script([
      { model: "sim-small", status: 400 },
      { model: "sim-small", delayMs: 5_000 },
    ])
    await expect(world.router.invoke("Hello")).rejects.toMatchObject({ status: 400 })
    await expect(world.router.invoke("Hello", { signal: AbortSignal.timeout(30) })).rejects.toThrow(/abort/i)
    expect(replyMetadata(await world.router.invoke("Hello")).deployment).toBe("sim-small")
  })

  it("learns from streams that break off", async () => {
    await using world = await openWorld({ circuitBreaker: { failures: 1 } })
    world.simulator.script([{ model: "sim-small", cutAfterChunks: 3 }])
    const read = async () => {
      for await (const _ of await world.router.stream("Tell me about the sea.", { tier: "light" }));
    }
    await expect(read()).rejects.toMatchObject({ code: "stream-broken" })
    await world.router.invoke("Hello")
    expect(skipsOf(world)).toEqual([["sim-small", "circuit-open"]])
  })

  it("may be shared by routers, and switched off", async () => {
    const health = healthBook({ breaker: { failures: 1 } })
    await using one = await openWorld({ maxRetries: 0, health })
    await using other = await openWorld({ maxRetries: 0, health })
    one.simulator.script([{ model: "sim-small", status: 500 }])
    await one.router.invoke("Hello")
    expect(replyMetadata(await other.router.invoke("Hello")).deployment).toBe("sim-medium")
    expect(health.report("sim-small")).toMatchObject({ breaker: "open" })
    await using never = await openWorld({ maxRetries: 0, circuitBreaker: false })
    never.simulator.script([{ model: "sim-small", status: 500, times: 8 }])
    for (let call = 0; call < 8; call++) await never.router.invoke("Hello")
    expect(deploymentsAsked(never).filter((model) => model === "sim-small")).toHaveLength(8)
  })

  it("is refused where it cannot be", async () => {
    await expect(openWorld({ circuitBreaker: { failures: 0 } })).rejects.toBeInstanceOf(ConfigError)
  })
})

describe("a cooldown", () => {
  it("leaves who asked for a pause alone until it is over", async () => {
    const clock = clockAt(Date.now())
    await using world = await openWorld({ now: () => clock.at })
    world.simulator.script([{ model: "sim-small", status: 429, headers: { "retry-after": "30" } }])
    await world.router.invoke("Hello")
    await world.router.invoke("Hello")
    expect(skipsOf(world)).toEqual([["sim-small", "cooling-down"]])
    clock.at += 30_001
    expect(replyMetadata(await world.router.invoke("Hello")).deployment).toBe("sim-small")
  })

  it("is waited for when nobody else is there and there is time", async () => {
    await using world = await openLonelyWorld({ failureHandling: { "not-found": { coolDownMs: 40 } } })
    world.simulator.script([{ status: 404 }])
    await expect(world.router.invoke("Hello")).rejects.toBeInstanceOf(CandidatesExhaustedError)
    expect(replyMetadata(await world.router.invoke("Hello")).deployment).toBe("sim-small")
    expect(deploymentsAsked(world)).toHaveLength(2)
  })

  it("is told with its end when that is too long", async () => {
    await using world = await openLonelyWorld({ deadlineMs: 5_000 })
    world.simulator.script([{ status: 429, headers: { "retry-after": "60" } }])
    const from = Date.now()
    await expect(world.router.invoke("Hello")).rejects.toBeInstanceOf(CandidatesExhaustedError)
    const error = await world.router.invoke("Hello").catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: "candidates-exhausted", attempts: [{ because: "cooling-down" }] })
    const { retryAt } = error as CandidatesExhaustedError
    expect(retryAt).toBeGreaterThanOrEqual(from + 60_000)
    expect((error as Error).message).toContain(new Date(retryAt ?? 0).toISOString())
    expect(deploymentsAsked(world)).toHaveLength(1)
  })
})

describe("limits", () => {
  it("shed calls to a cheaper tier, where their bounds allow it [A4.graceful-degradation]", async () => {
    await using world = await openWorld()
    const router = new RouterChatModel({
      tiers: ["light", "heavy"],
      estimator: { name: "everything is hard", estimate: () => ({ score: 1, confidence: 1, factors: {} }) },
      deployments: [
        { ...deploymentOf(world.simulator, "light", "sim-small"), limits: { requestsPerMinute: 2 } },
        { ...deploymentOf(world.simulator, "heavy", "sim-large"), limits: { requestsPerMinute: 1 } },
      ],
    })
    const who = async (options: object = {}) =>
      replyMetadata(await router.invoke("Hello", options)).deployment
    expect(await who()).toBe("sim-large")
    const pinned = router.invoke("Hello", { tier: "heavy" })
    await expect(pinned).rejects.toMatchObject({ code: "candidates-exhausted", status: 429 })
    expect([await who(), await who()]).toEqual(["sim-small", "sim-small"])
    await expect(router.invoke("Hello")).rejects.toMatchObject({ status: 429, retryAt: expect.any(Number) })
  })

  it("send a call elsewhere when a deployment is full [A4.graceful-degradation]", async () => {
    await using world = await openWorld()
    const [small, medium, large] = ["sim-small", "sim-medium", "sim-large"].map((id, index) =>
      deploymentOf(world.simulator, ["light", "standard", "heavy"][index] as string, id),
    )
    if (small === undefined || medium === undefined || large === undefined)
      throw new Error("a model is missing")
    const router = new RouterChatModel({
      deployments: [{ ...small, limits: { concurrency: 1 } }, medium, large],
    })
    world.simulator.script([{ model: "sim-small", delayMs: 60 }])
    const [first, second] = await Promise.all([router.invoke("Hello"), router.invoke("Hello")])
    expect([replyMetadata(first).deployment, replyMetadata(second).deployment]).toEqual([
      "sim-small",
      "sim-medium",
    ])
    expect(replyMetadata(second).attempts).toMatchObject([{ outcome: "skipped", because: "saturated" }, {}])
    expect(replyMetadata(await router.invoke("Hello")).deployment).toBe("sim-small")
  })

  it("refuse at once where nobody else is there and nobody waits", async () => {
    await using world = await openLonelyWorld({}, { limits: { requestsPerMinute: 1 } })
    await world.router.invoke("Hello")
    await expect(world.router.invoke("Hello")).rejects.toMatchObject({
      code: "candidates-exhausted",
      attempts: [{ because: "saturated" }],
      retryAt: expect.any(Number),
    })
  })

  it("let calls wait in a line, the most urgent first", async () => {
    await using world = await openLonelyWorld({ waitingLine: {} }, { limits: { concurrency: 1 } })
    world.simulator.script([{ delayMs: 60 }])
    const done: string[] = []
    const ask = async (name: string, priority: number) => {
      await world.router.invoke(`Hello ${name}`, { priority })
      done.push(name)
    }
    const first = ask("first", 0)
    const later = [ask("patient", 5), ask("urgent", 0)]
    await Promise.all([first, ...later])
    expect(done).toEqual(["first", "urgent", "patient"])
  })

  it("lose nobody in the line, however many come at once", async () => {
    // At once: between a refusal and a place in the line there is time for others to end.
    const model = new FakeListChatModel({ responses: ["Hi."] })
    const router = new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      deployments: [{ tier: "light", model, price: "free", limits: { concurrency: 2 } }],
      waitingLine: { timeoutMs: 400 },
    })
    const replies = await Promise.allSettled(
      Array.from({ length: 60 }, async (_, n) => {
        for (let turn = 0; turn < n; turn++) await Promise.resolve()
        return router.invoke(`Hello ${n}`)
      }),
    )
    expect(replies.filter(({ status }) => status === "rejected")).toEqual([])
  })

  it("let nobody who comes later go before those in the line", async () => {
    await using world = await openLonelyWorld({ waitingLine: {} }, { limits: { concurrency: 1 } })
    world.simulator.script([{ delayMs: 40 }])
    const done: string[] = []
    const ask = async (name: string) => {
      await world.router.invoke(`Hello ${name}`)
      done.push(name)
    }
    const first = ask("first")
    const second = ask("second")
    // It comes in the very moment in which the place is free.
    const third = first.then(() => ask("third"))
    await Promise.all([second, third])
    expect(done).toEqual(["first", "second", "third"])
  })

  it("end a wait that takes too long", async () => {
    await using world = await openLonelyWorld(
      { waitingLine: { timeoutMs: 30 } },
      { limits: { concurrency: 1 } },
    )
    world.simulator.script([{ delayMs: 200 }])
    const slow = world.router.invoke("Hello")
    await expect(world.router.invoke("Hello")).rejects.toMatchObject({ attempts: [{ because: "saturated" }] })
    await slow
  })

  it("are refused where they are none", async () => {
    await expect(openLonelyWorld({}, { limits: { concurrency: 0 } })).rejects.toMatchObject({
      path: "deployments[0].limits.concurrency",
    })
  })
})

describe("equals", () => {
  const equals = (world: World, order: RouterChatModelFields["order"]) =>
    new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      order,
      deployments: ["a", "b", "c"].map((id) => ({
        ...deploymentOf(world.simulator, "light", "sim-small"),
        id,
      })),
    })
  const whoAnswers = async (router: RouterChatModel, calls: number, options: object = {}) => {
    const asked: string[] = []
    for (let call = 0; call < calls; call++) {
      asked.push(replyMetadata(await router.invoke(`Hello ${call}`, options)).deployment)
    }
    return asked
  }

  it("take turns [A5.load-balancing]", async () => {
    await using world = await openWorld()
    const asked = await whoAnswers(equals(world, "round-robin"), 6)
    expect(asked.slice(0, 3).sort()).toEqual(["a", "b", "c"])
    expect(asked.slice(3).sort()).toEqual(["a", "b", "c"])
  })

  it("share what runs at the same time", async () => {
    await using world = await openWorld()
    world.simulator.script([{ delayMs: 100, times: 3 }])
    const router = equals(world, "least-in-flight")
    const replies = await Promise.all(
      [1, 2, 3].map(async (n) => {
        await new Promise((resolve) => setTimeout(resolve, n * 15))
        return router.invoke(`Hello ${n}`)
      }),
    )
    expect(replies.map((reply) => replyMetadata(reply).deployment).sort()).toEqual(["a", "b", "c"])
  })

  it("leave the slow one to the others", async () => {
    // Only answers take time: a busy machine makes no quick one slow.
    const clock = clockAt(0)
    const answering = (id: string, ms: number) =>
      talking("light", id, {
        reply: () => {
          clock.at += ms
          return "Hi."
        },
      })
    const router = new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      order: "lowest-latency",
      now: () => clock.at,
      deployments: [answering("slow", 400), answering("quick", 20), answering("quicker", 15)],
    })
    const asked = await whoAnswers(router, 40)
    const callsOf = (id: string) => asked.filter((one) => one === id).length
    // To find out; by chance it may be left out of all pairs of which the better is asked.
    expect(callsOf("slow")).toBeLessThanOrEqual(1)
    expect(callsOf("quicker")).toBeGreaterThan(12)
  })

  it("keep a session where it is", async () => {
    await using world = await openWorld()
    for (const order of ["cheapest", "least-in-flight"] as const) {
      const router = equals(world, order)
      const sessions = await Promise.all(
        Array.from({ length: 12 }, (_, session) => whoAnswers(router, 3, { session: `s-${session}` })),
      )
      for (const asked of sessions) expect(new Set(asked).size).toBe(1)
      expect(new Set(sessions.map(([id]) => id)).size).toBeGreaterThan(1)
    }
  })
})

describe("several API keys of one model", () => {
  const byKeys = (world: World, limits: TrafficLimit) =>
    new RouterChatModel({
      tiers: ["light"],
      thresholds: [],
      order: "round-robin",
      maxRetries: 0,
      deployments: ["eu-1", "eu-2"].map((id) => ({
        ...deploymentOf(world.simulator, "light", "sim-small"),
        id,
        limits,
      })),
    })
  const ask = async (router: RouterChatModel) => replyMetadata(await router.invoke("Hello")).deployment

  it("have pauses of their own [C8.key-load-balancing]", async () => {
    await using world = await openWorld()
    const router = byKeys(world, {})
    world.simulator.script([{ status: 429, retryAfter: { seconds: 30 } }])
    const asked = [await ask(router), await ask(router), await ask(router), await ask(router)]
    expect(new Set(asked).size).toBe(1)
    expect(world.bodies()).toHaveLength(5)
    world.simulator.script([{ status: 429, retryAfter: { seconds: 60 } }])
    await expect(router.invoke("Hello")).rejects.toMatchObject({
      attempts: expect.arrayContaining([
        expect.objectContaining({ outcome: "skipped", because: "cooling-down" }),
        expect.objectContaining({ deploymentId: asked[0], failure: "rate-limited" }),
      ]),
    })
  })

  it("share the calls, each up to its own limit", async () => {
    await using world = await openWorld()
    const router = byKeys(world, { requestsPerMinute: 2 })
    const asked = [await ask(router), await ask(router), await ask(router), await ask(router)]
    expect(asked.sort()).toEqual(["eu-1", "eu-1", "eu-2", "eu-2"])
    await expect(router.invoke("Hello")).rejects.toBeInstanceOf(CandidatesExhaustedError)
  })
})

describe("a hedge", () => {
  it("asks a second beside a slow one, takes the first to begin, and settles both", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 1 }] })
    await using world = await openWorld({ budget, hedge: { afterMs: 30 } })
    world.simulator.script([{ model: "sim-small", delayMs: 3_000 }])
    const reply = await world.router.invoke("Hello")
    expect(replyMetadata(reply).deployment).toBe("sim-medium")
    expect(replyMetadata(reply).attempts).toMatchObject([
      { deployment: "sim-medium", outcome: "answered" },
      { deployment: "sim-small", because: "aborted" },
    ])
    const [record] = world.records
    expect(await budget.status({})).toMatchObject([{ held: 0, spent: record?.cost }])
    expect(record?.answeredBy).toMatchObject({ deploymentId: "sim-medium" })
    // Its provider was told.
    await expect
      .poll(() =>
        world.simulator
          .invoices()
          .map(({ outcome }) => outcome)
          .sort(),
      )
      .toEqual(["aborted", "completed"])
  })

  it("streams one answer, whole", async () => {
    await using world = await openWorld({ hedge: { afterMs: 30 } })
    world.simulator.script([
      { model: "sim-small", delayMs: 3_000 },
      { model: "sim-medium", answer: "The sea is salty." },
    ])
    let text = ""
    for await (const chunk of await world.router.stream("Hello")) text += chunk.text
    expect(text).toBe("The sea is salty.")
  })

  it("leaves its loser to answer where the winner breaks off", async () => {
    await using world = await openWorld({ hedge: { afterMs: 30 }, midStream: "restart" })
    world.simulator.script([
      { model: "sim-small", delayMs: 3_000 },
      { model: "sim-medium", answer: "The sea is salty.", cutAfterChunks: 3 },
      { model: "sim-small", answer: "It is." },
    ])
    let text = ""
    for await (const chunk of await world.router.stream("Hello")) {
      text = isRestart(chunk) ? "" : text + chunk.text
    }
    expect(text).toBe("It is.")
    expect(deploymentsAsked(world)).toEqual(["sim-small", "sim-medium", "sim-small"])
  })

  it("is not made for calls that are as fast as mostly, nor where handlers read along", async () => {
    await using world = await openWorld({ hedge: {} })
    world.simulator.script([{ model: "sim-small", delayMs: 100 }])
    await world.router.invoke("Hello")
    expect(deploymentsAsked(world)).toEqual(["sim-small"])
    await using read = await openWorld({ hedge: { afterMs: 20 } })
    read.simulator.script([{ model: "sim-small", delayMs: 100 }])
    await read.router.invoke("Hello", { callbacks: [{ handleLLMNewToken: () => {} }] })
    expect(deploymentsAsked(read)).toEqual(["sim-small"])
  })
})

describe("a request that is too long for one", () => {
  it("is passed on to a larger context window, and to no smaller one", async () => {
    await using world = await openWorld()
    const withWindow = (id: string, tier: string, maxInputTokens: number) => {
      const one = deploymentOf(world.simulator, tier, id)
      return { ...one, price: "free" as const, profile: { ...one.profile, maxInputTokens } }
    }
    const router = new RouterChatModel({
      deployments: [
        withWindow("sim-small", "light", 9_000),
        withWindow("sim-medium", "standard", 9_000),
        withWindow("sim-large", "heavy", 20_000),
      ],
    })
    world.simulator.script([
      {
        model: "sim-small",
        status: 400,
        body: { error: { message: "too long", code: "context_length_exceeded" } },
      },
    ])
    const reply = await router.invoke("Hello")
    expect(replyMetadata(reply).attempts).toMatchObject([
      { deployment: "sim-small", because: "context-overflow" },
      { deployment: "sim-medium", because: "context-too-small" },
      { deployment: "sim-large", outcome: "answered" },
    ])
  })
})
