import type { AIMessageChunk } from "@langchain/core/messages"
import type { ScriptedFault } from "@tierwise/simulator"
import {
  type BudgetStore,
  type CloseReport,
  memoryBudget,
  RouterChatModel,
  RouterClosedError,
  type RouterOptions,
  type Scopes,
  TierwiseError,
} from "tierwise"
import { describe, expect, it, vi } from "vitest"
import { onCue, settled, talking, watch } from "./registry-world.ts"
import { openWorld, RunCounter } from "./world.ts"

const LONG = "Write a few words about the sea."
const tiers = ["light", "heavy"]
const toHeavy = { tier: "heavy" }
const limits = [{ scope: "tenant", window: "total", usd: 10 }] as const
const PROBES = { tenant: "tierwise:probes" }
const price = { inputPerMTok: 1, outputPerMTok: 1 }

async function readAll(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

/** A router whose heavy model answers when it is told to. */
function waiting(options: Partial<RouterOptions> = {}) {
  const cue = onCue()
  const deployments = [talking("light", "small"), talking("heavy", "large", { price, reply: cue.reply })]
  const router = new RouterChatModel({ tiers, deployments, ...options })
  return { router, cue }
}

const heldBy = async (budget: BudgetStore, scopes: Scopes = {}) => (await budget.status(scopes))[0]?.held
const spentBy = async (budget: BudgetStore) => (await budget.status({}))[0]?.spent
const ended = (report: Partial<CloseReport>) => ({ ended: 0, cancelled: 0, stuck: 0, ...report })
const failureOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  )

describe("a router that is closed", () => {
  it("refuses calls, those of routers made of it too, and waits for those under way", async () => {
    const { router, cue } = waiting()
    const bound = router.withConfig({ tags: ["bound"] })
    const call = bound.invoke("Hello", toHeavy)
    await settled()
    const closing = router.close()
    const again = bound.close()
    const isClosed = watch(closing)
    for (const late of [bound.invoke("Hello"), router.stream("Hello"), router.batch(["Hello"])]) {
      const error = await failureOf(late)
      expect(error).toBeInstanceOf(RouterClosedError)
      expect(error).toMatchObject({ code: "router-closed", deadlineMs: undefined })
    }
    const structured = router.withStructuredOutput({ title: "none", type: "object", properties: {} })
    await expect(structured.invoke("Hello")).rejects.toThrow("The router takes no calls: it is closed.")
    await settled()
    expect(isClosed()).toBe(false)
    cue.say("Yes.")
    expect((await call).text).toBe("Yes.")
    expect(await closing).toEqual(ended({ ended: 1 }))
    expect(await again).toEqual(await closing)
    // It can still say what it would have done.
    expect((await router.explain("Hello", toHeavy)).candidates).toHaveLength(1)
  })

  it("cancels what is longer than the deadline, also where a model ignores its signal, and settles its money [N1.settle]", async () => {
    const budget = memoryBudget({ limits })
    const { router } = waiting({ budget })
    const calls = [
      router.invoke("Hello", toHeavy),
      router.stream("Hello", toHeavy),
      router.batch(["Hello"], toHeavy),
      readAll(router.streamEvents("Hello", { ...toHeavy, version: "v2" })),
    ].map(failureOf)
    await settled()
    expect(await heldBy(budget)).toBeGreaterThan(0)
    expect(await router.close({ deadlineMs: 1 })).toEqual(ended({ cancelled: 4 }))
    expect(await heldBy(budget)).toBe(0)
    // It was sent, and nobody knows what it will cost.
    expect(await spentBy(budget)).toBeGreaterThan(0)
    for (const error of await Promise.all(calls)) {
      expect(error).toMatchObject({ code: "router-closed", deadlineMs: 1 })
      expect(TierwiseError.isInstance(error)).toBe(true)
    }
    expect(router.registry.list()[1]).toMatchObject({ inFlight: 0, health: { breaker: "closed" } })
  })

  it("cancels calls that wait: for room, for a pause, for an equal call", async () => {
    const { router, cue } = waiting()
    const full = talking("heavy", "full", { limits: { concurrency: 1 }, reply: cue.reply })
    const crowded = new RouterChatModel({
      tiers,
      deployments: [talking("light", "small"), full],
      waitingLine: { timeoutMs: 60_000 },
      cache: true,
    })
    const question = `Hello ${crypto.randomUUID()}`
    const calls = [question, question, "And you?"].map((text) => failureOf(crowded.invoke(text, toHeavy)))
    await settled()
    const broken = talking("heavy", "broken", {
      reply: () => {
        throw Object.assign(new Error("later"), { status: 429, headers: { "retry-after": "4" } })
      },
    })
    router.registry.add(broken)
    await router.registry.remove("large")
    const patient = failureOf(router.invoke("Hello", toHeavy))
    await settled()
    expect(await crowded.close({ deadlineMs: 0 })).toEqual(ended({ cancelled: 3 }))
    expect(await router.close({ deadlineMs: 0 })).toEqual(ended({ cancelled: 1 }))
    for (const error of await Promise.all([...calls, patient]))
      expect(error).toMatchObject({ code: "router-closed" })
  })

  it("does not wait for a reader who has stopped reading, and tells it when it comes back [N1.settle]", async () => {
    const budget = memoryBudget({ limits })
    const runs = new RunCounter()
    await using world = await openWorld({ budget, callbacks: [runs] }, { timeScale: 0 })
    const { router } = world
    world.simulator.script([{ answer: "It is salty. ".repeat(40) }])
    const chunks: AIMessageChunk[] = []
    const reader = (await router.stream(LONG)).getReader()
    for (let read = 0; read < 3; read++) chunks.push((await reader.read()).value as AIMessageChunk)
    await settled()
    expect(await router.close({ deadlineMs: 20 })).toEqual(ended({ cancelled: 1 }))
    expect(await heldBy(budget)).toBe(0)
    expect(world.records.map(({ error, cost }) => [error, cost > 0])).toEqual([
      [expect.stringContaining("the call did not end within 20 ms"), true],
    ])
    expect(await spentBy(budget)).toBe(world.records[0]?.cost)
    expect(runs.events.at(-1)).toContain("chain error: The router was closed")
    const rest = async () => {
      for (;;) if ((await reader.read()).done) return
    }
    await expect(rest()).rejects.toMatchObject({ code: "router-closed", deadlineMs: 20 })
    // Told once.
    expect(runs.events.filter((event) => event.startsWith("chain error"))).toHaveLength(1)
    expect(world.records).toHaveLength(1)
  })

  it("has an answer whose reader stopped before its last chunk only as an answer", async () => {
    const budget = memoryBudget({ limits })
    const router = new RouterChatModel({
      tiers,
      deployments: [talking("light", "a"), talking("heavy", "b")],
      budget,
    })
    const words: AsyncGenerator<AIMessageChunk> = router._streamIterator("Hello", toHeavy)
    const read = [await words.next(), await words.next()]
    expect(read.map(({ value }) => (value as AIMessageChunk).text)).toEqual(["b says", ""])
    expect(await router.close({ deadlineMs: 1 })).toEqual(ended({ ended: 1 }))
    expect(await words.next()).toEqual({ done: true, value: undefined })
  })

  it("ends the call of a reader who has stopped reading when its caller aborts, and not before", async () => {
    const budget = memoryBudget({ limits })
    await using world = await openWorld({ budget })
    const caller = new AbortController()
    world.simulator.script([{ answer: "It is salty. ".repeat(40) }])
    const reader = (await world.router.stream(LONG, { signal: caller.signal })).getReader()
    await reader.read()
    await settled()
    expect(await heldBy(budget)).toBeGreaterThan(0)
    const own = new Error("the user has left")
    caller.abort(own)
    await expect.poll(() => heldBy(budget)).toBe(0)
    const rest = async () => {
      for (;;) if ((await reader.read()).done) return
    }
    await expect(rest()).rejects.toBe(own)
    expect(await world.router.close()).toEqual(ended({}))
  })

  it.each<[string, ScriptedFault]>([
    ["before its first word", { breaks: { how: "stalls", at: "start" } }],
    ["in the middle", { breaks: { how: "stalls", at: { chunks: 4 } } }],
    ["before its end", { breaks: { how: "stalls", at: "end" } }],
  ])(
    "cancels a stream that stalls %s, and its provider's connection [N2.estimate-aborted]",
    async (_, fault) => {
      const budget = memoryBudget({ limits })
      await using world = await openWorld({ budget, midStream: "restart" })
      world.simulator.script([{ ...fault, answer: "It is salty, and deep." }])
      const read = async () => {
        for await (const _chunk of await world.router.stream(LONG));
      }
      const reading = failureOf(read())
      await expect.poll(() => world.bodies().length).toBe(1)
      await settled()
      expect(await world.router.close({ deadlineMs: 30 })).toEqual(ended({ cancelled: 1 }))
      expect(await reading).toMatchObject({ code: "router-closed" })
      expect(await heldBy(budget)).toBe(0)
      // The provider saw its client leave, and nobody asked another one.
      await expect.poll(() => world.simulator.invoices().map(({ outcome }) => outcome)).toEqual(["aborted"])
      const [attempt] = world.records[0]?.attempts ?? []
      expect(attempt).toMatchObject({ outcome: "failed", failure: "aborted", usage: { estimated: true } })
      expect(world.records[0]?.attempts).toHaveLength(1)
    },
  )

  it("is closed earlier by a second call with a shorter deadline", async () => {
    const { router } = waiting()
    const call = failureOf(router.invoke("Hello", toHeavy))
    await settled()
    const closing = router.close({ deadlineMs: 60_000 })
    expect(await router.close({ deadlineMs: 1 })).toEqual(ended({ cancelled: 1 }))
    expect(await closing).toEqual(ended({ cancelled: 1 }))
    expect(await call).toMatchObject({ deadlineMs: 1 })
  })

  it("gives back money that is granted when its call has gone, before it is closed [N1.release]", async () => {
    const budget = memoryBudget({ limits })
    const asked = Promise.withResolvers<void>()
    const { router } = waiting({
      budget: {
        ...budget,
        async reserve(request) {
          const outcome = await budget.reserve(request)
          await asked.promise
          return outcome
        },
      },
    })
    const call = failureOf(router.invoke("Hello", toHeavy))
    await settled()
    const closing = router.close({ deadlineMs: 1 })
    expect(await call).toMatchObject({ code: "router-closed" })
    const isClosed = watch(closing)
    await settled()
    expect([isClosed(), await heldBy(budget)]).toEqual([false, expect.any(Number)])
    expect(await heldBy(budget)).toBeGreaterThan(0)
    asked.resolve()
    await closing
    expect(await heldBy(budget)).toBe(0)
    expect(await spentBy(budget)).toBe(0)
  })

  it("waits for the money of the probes it ends [N1.settle]", async () => {
    const budget = memoryBudget({ limits })
    const asked = Promise.withResolvers<void>()
    const slow: BudgetStore = {
      ...budget,
      async settle(id, actual) {
        await asked.promise
        return budget.settle(id, actual)
      },
    }
    const { router } = waiting({ budget: slow, warmUp: true })
    await settled()
    const closing = router.close()
    const isClosed = watch(closing)
    await settled()
    expect(isClosed()).toBe(false)
    expect(await heldBy(budget, PROBES)).toBeGreaterThan(0)
    asked.resolve()
    expect(await closing).toEqual(ended({}))
    expect(await heldBy(budget, PROBES)).toBe(0)
  })

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, "5000"])(
    "stays open for a deadline of %s",
    async (deadlineMs) => {
      const { router } = waiting()
      await expect(router.close({ deadlineMs } as never)).rejects.toMatchObject({
        code: "invalid-config",
        path: "close.deadlineMs",
      })
      expect((await router.invoke("Hello", { tier: "light" })).text).toBe("small says")
      expect(await router.close({ deadlineMs: 0 })).toEqual(ended({}))
    },
  )

  it("is closed at the end of a block, when the calls in it have ended", async () => {
    const { router, cue } = waiting()
    let call: Promise<AIMessageChunk> | undefined
    const block = async () => {
      await using inBlock = router
      call = inBlock.invoke("Hello", toHeavy)
      await settled()
    }
    const left = block()
    const isLeft = watch(left)
    await settled()
    expect(isLeft()).toBe(false)
    cue.say("Yes.")
    await left
    expect((await call)?.text).toBe("Yes.")
  })

  it("is another one's to fall back from, for a router around it", async () => {
    const { router: inner } = waiting()
    await inner.close()
    const around = new RouterChatModel({
      tiers: ["only"],
      deployments: [
        { id: "inner", tier: "only", model: inner, price: "free" },
        { ...talking("only", "other"), weight: 0.5 },
      ],
      maxRetries: 0,
    })
    expect((await around.invoke("Hello")).text).toBe("other says")
  })

  it("keeps no listener on a caller's signal, which may outlive many calls", async () => {
    const { router } = waiting()
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, "addEventListener")
    const removed = vi.spyOn(signal, "removeEventListener")
    await router.invoke("Hello", { signal, tier: "light" })
    expect(added.mock.calls.length).toBeGreaterThan(0)
    expect(removed.mock.calls.length).toBeGreaterThanOrEqual(added.mock.calls.length)
  })
})
