import {
  type DeploymentOptions,
  healthBook,
  memoryBudget,
  RouterChatModel,
  type RouterOptions,
} from "tierwise"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { onCue, settled, talking } from "./registry-world.ts"
import { openWorld } from "./world.ts"

const open = (deployments: readonly DeploymentOptions[], options: Partial<RouterOptions> = {}) =>
  new RouterChatModel({
    tiers: ["light", "heavy"],
    deployments,
    random: () => 0.5,
    maxRetries: 0,
    ...options,
  })
const toLight = { tier: "light" }
const broken = () => Object.assign(new Error("broken"), { status: 500 })

describe("probes", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] }))
  afterEach(() => void vi.useRealTimers())

  const after = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms)
    await settled()
  }

  it("ask, with one token of output, whoever had no call lately, and nobody else [A2.health-checks]", async () => {
    const [small, large] = [talking("light", "small"), talking("heavy", "large")]
    await using router = open([small, large], { probes: { everyMs: 1_000 } })
    await after(900)
    await router.invoke("Hello", toLight)
    await after(200)
    expect([small.model.asked, large.model.asked]).toEqual([["Hello"], ["Hi"]])
    expect(large.model.caps).toEqual([1])
    await after(1_000)
    expect([small.model.asked, large.model.asked]).toEqual([
      ["Hello", "Hi"],
      ["Hi", "Hi"],
    ])
    expect(router.registry.list().map(({ metrics }) => metrics.calls)).toEqual([1, 0])
  })

  it("find out that a deployment is broken before a caller does, and that it is well again [A2.health-checks]", async () => {
    let isBroken = true
    const reply = () => {
      if (isBroken) throw broken()
      return "Yes."
    }
    const small = talking("light", "small", { reply })
    await using router = open([small, talking("heavy", "large")], {
      probes: { everyMs: 1_000, ask: "ping", maxOutputTokens: 16 },
      circuitBreaker: { failures: 2, openMs: 5_000 },
    })
    const breaker = () => router.registry.list()[0]?.health.breaker
    await after(1_000)
    expect(breaker()).toBe("closed")
    await after(1_000)
    expect(breaker()).toBe("open")
    isBroken = false
    await after(4_000)
    expect(small.model.asked).toHaveLength(2)
    await after(1_000)
    expect(breaker()).toBe("closed")
    expect(small.model.asked).toEqual(["ping", "ping", "ping"])
    expect(small.model.caps).toEqual([16, 16, 16])
  })

  it("ask whoever has an open circuit, however lately it was called", async () => {
    let isBroken = true
    const reply = () => {
      if (isBroken) throw broken()
      return "Yes."
    }
    const small = talking("light", "small", { reply })
    await using router = open([small, talking("heavy", "large")], {
      probes: { everyMs: 1_000 },
      circuitBreaker: { failures: 1, openMs: 20 },
    })
    await after(850)
    await router.invoke("Hello")
    isBroken = false
    await after(300)
    expect(small.model.asked).toEqual(["Hello", "Hi"])
    expect(router.registry.list()[0]?.health.breaker).toBe("closed")
  })

  it("leave those alone who are at work, and those who have asked for a pause", async () => {
    const cue = onCue()
    const [small, large] = [talking("light", "small", { reply: cue.reply }), talking("heavy", "large")]
    const health = healthBook()
    await using router = open([small, large], { probes: { everyMs: 1_000 }, health })
    const asking = router.invoke("Hello", toLight)
    health.cool("large", Date.now() + 2_500, "overloaded")
    await after(2_800)
    expect([small.model.asked, large.model.asked]).toEqual([["Hello"], []])
    await after(300)
    expect(large.model.asked).toEqual(["Hi"])
    cue.say("Well.")
    await asking
  })

  it("are sent once, keep no process alive, and count against limits", async () => {
    const timers = vi.spyOn(globalThis, "setTimeout")
    const cue = onCue()
    const limits = { tokensPerMinute: 150 }
    const small = talking("light", "small", { limits, reply: cue.reply })
    const large = talking("heavy", "large", {
      reply: () => {
        throw broken()
      },
    })
    await using router = open([small, large], {
      probes: { everyMs: 1_000, maxOutputTokens: 100 },
      maxRetries: 2,
      retryBaseMs: 1,
      maxFallbackAttempts: 0,
    })
    expect(timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false])
    timers.mockRestore()
    await after(1_000)
    await after(100)
    expect([small.model.asked, large.model.asked]).toEqual([["Hi"], ["Hi"]])
    // The probe is under way, and there is no room for as much again.
    const asking = router.invoke("Hello", toLight)
    await expect(asking).rejects.toMatchObject({ code: "candidates-exhausted" })
    expect(small.model.asked).toEqual(["Hi"])
    cue.say("Well.")
  })

  it("ask each deployment one at a time, and give up in time", async () => {
    const cue = onCue()
    const small = talking("light", "small", { reply: cue.reply })
    const options = { probes: { everyMs: 1_000, timeoutMs: 3_500 }, circuitBreaker: { failures: 1 } }
    await using router = open([small, talking("heavy", "large")], options)
    await after(4_000)
    expect(small.model.asked).toHaveLength(1)
    await after(1_000)
    expect(router.registry.list()[0]?.health.breaker).toBe("open")
  })

  it("end with the router, those under way too", async () => {
    const cue = onCue()
    const small = talking("light", "small", { reply: cue.reply })
    const router = open([small, talking("heavy", "large")], {
      probes: { everyMs: 1_000 },
      circuitBreaker: { failures: 1 },
    })
    await after(1_000)
    await router.close()
    await settled()
    expect(vi.getTimerCount()).toBe(0)
    await after(20_000)
    expect(small.model.asked).toHaveLength(1)
    expect(router.registry.list()[0]?.health.breaker).toBe("closed")
  })

  it("are paid by a tenant of their own, and not sent where it has nothing left", async () => {
    const small = talking("light", "small", { price: { inputPerMTok: 1, outputPerMTok: 1 } })
    const budget = memoryBudget({
      limits: [
        { scope: "tenant", id: "tierwise:probes", window: "day", tokens: 250 },
        { scope: "tenant", window: "day", tokens: 1_000 },
      ],
    })
    await using router = open([small, talking("heavy", "large")], { probes: { everyMs: 1_000 }, budget })
    await after(1_000)
    const [probes] = await budget.status({ tenant: "tierwise:probes" })
    expect(probes?.spent).toBeGreaterThan(0)
    const [others] = await budget.status({ tenant: "acme" })
    expect(others?.spent).toBe(0)
    await after(20_000)
    const sent = small.model.asked.length
    expect(sent).toBeLessThan(20)
    await after(5_000)
    expect(small.model.asked).toHaveLength(sent)
    expect(router.registry.list()[0]?.health.breaker).toBe("closed")
  })

  it.each<[string, Partial<RouterOptions>, string]>([
    ["no interval", { probes: {} as never }, "probes.everyMs"],
    ["an interval that is none", { probes: { everyMs: 0 } }, "probes.everyMs"],
    ["a misspelt field", { probes: { everyMs: 1, timeout: 1 } as never }, "probes.timeout"],
    ["a warm-up that is no yes or no", { warmUp: "yes" as never }, "warmUp"],
  ])("are refused with %s", (_, options, path) => {
    const wrong = () => open([talking("light", "small"), talking("heavy", "large")], options)
    expect(wrong).toThrow(expect.objectContaining({ code: "invalid-config", path }))
  })
})

describe("warm-up", () => {
  it("asks each deployment once before the first call, over HTTP [A5.warm-up]", async () => {
    await using world = await openWorld({ warmUp: true })
    await world.router.ready()
    expect(
      world
        .bodies()
        .map(({ model, max_tokens, max_completion_tokens }) => [model, max_tokens ?? max_completion_tokens]),
    ).toEqual(
      expect.arrayContaining([
        ["sim-small", 1],
        ["sim-medium", 1],
        ["sim-large", 1],
      ]),
    )
    expect(world.bodies()).toHaveLength(3)
    await world.router.invoke("Hello")
    expect(world.bodies()).toHaveLength(4)
    expect(world.records).toHaveLength(1)
    await world.router.close()
  })

  it("has waited for nobody without the option", async () => {
    await using world = await openWorld()
    await world.router.ready()
    expect(world.bodies()).toEqual([])
  })

  it("is over when somebody does not answer, and says who", async () => {
    const small = talking("light", "small", {
      reply: () => {
        throw broken()
      },
    })
    await using router = open([small, talking("heavy", "large")], {
      warmUp: true,
      circuitBreaker: { failures: 1 },
    })
    await router.ready()
    expect(router.registry.list().map(({ health }) => health.breaker)).toEqual(["open", "closed"])
  })

  it("is for newcomers too", async () => {
    const small = talking("light", "small")
    await using router = open([small, talking("heavy", "large")], { warmUp: true })
    const newcomer = talking("heavy", "new")
    await router.ready()
    await router.registry.replace("large", newcomer)
    await router.withConfig({ tags: ["bound"] }).ready()
    expect([small.model.asked, newcomer.model.asked]).toEqual([["Hi"], ["Hi"]])
  })
})
