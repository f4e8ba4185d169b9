import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages"
import {
  BudgetExceededError,
  type BudgetWarning,
  memoryBudget,
  nanoUsd,
  type RefusalQuestion,
  type RouteEvent,
  type RoutingPolicy,
  type Scopes,
} from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld, replyMetadata } from "./world.ts"

const DAY = 86_400_000
const perDay = (usd: number) => [{ scope: "tenant", window: "day" as const, usd }]

/** Books money as if it had been spent before. */
async function spend(budget: ReturnType<typeof memoryBudget>, usd: number, scopes: Scopes = {}) {
  const amount = { money: nanoUsd(Math.round(usd * 1e9)), tokens: 0 }
  await budget.book({ id: crypto.randomUUID(), scopes, amount })
}

const STANDARD: RoutingPolicy = {
  decide: () => ({ tier: "standard", reason: "estimated", because: "so", floor: "light", ceiling: "heavy" }),
}

/** sim-large's quote does not fit into what is left, sim-medium's does. */
const NO_HEAVY_FITS = 0.02

describe("a budget that refuses the tier that was decided", () => {
  it("ends the call, and no weaker model answers in its place", async () => {
    const budget = memoryBudget({ limits: perDay(NO_HEAVY_FITS) })
    await using world = await openWorld({ budget, maxOutputTokens: 4_000 })
    await expect(world.router.invoke("Hello", { preference: 1 })).rejects.toThrow(BudgetExceededError)
    expect(world.bodies()).toEqual([])
  })

  it("lets a weaker tier answer where that is wanted, and says so everywhere", async () => {
    const events: RouteEvent[] = []
    const budget = memoryBudget({ limits: perDay(NO_HEAVY_FITS) })
    await using world = await openWorld({
      budget,
      maxOutputTokens: 4_000,
      underPressure: { whenRefused: "downgrade" },
      observers: [{ on: (event) => events.push(event) }],
    })
    const reply = await world.router.invoke("Hello", { preference: 1 })
    expect(replyMetadata(reply)).toMatchObject({ tier: "standard", reason: "downgraded" })
    // What whose budget has left is on the record alone.
    expect(JSON.stringify(reply.response_metadata)).not.toContain("tenant:default")
    expect(world.records[0]?.decisions[1]?.because).toContain("The day budget of tenant:default has")
    expect(world.records[0]?.decisions.map(({ tier, reason }) => [tier, reason])).toEqual([
      ["heavy", "estimated"],
      ["standard", "downgraded"],
    ])
    expect(events.find(({ type }) => type === "tier-downgraded")).toMatchObject({
      decision: { tier: "standard", ceiling: "heavy" },
    })
  })

  it("never lets one below the floor answer", async () => {
    const budget = memoryBudget({ limits: perDay(NO_HEAVY_FITS) })
    const underPressure = { whenRefused: "downgrade" } as const
    await using world = await openWorld({ budget, maxOutputTokens: 4_000, underPressure })
    const call = world.router.invoke("Hello", { taskType: "security_analysis" })
    await expect(call).rejects.toThrow(BudgetExceededError)
    expect(world.bodies()).toEqual([])
  })

  it("never changes the model in the middle of a tool loop", async () => {
    const budget = memoryBudget({ limits: perDay(NO_HEAVY_FITS) })
    const questions: RefusalQuestion[] = []
    const whenRefused = (question: RefusalQuestion) => {
      questions.push(question)
      return "downgrade" as const
    }
    await using world = await openWorld({ budget, maxOutputTokens: 4_000, underPressure: { whenRefused } })
    const messages = [
      new HumanMessage("What is the weather in Paris?"),
      new AIMessage({ content: "", tool_calls: [{ id: "1", name: "weather", args: { city: "Paris" } }] }),
      new ToolMessage({ content: "21 °C", tool_call_id: "1" }),
    ]
    await expect(world.router.invoke(messages, { preference: 1 })).rejects.toThrow(BudgetExceededError)
    expect(questions).toMatchObject([{ tier: "heavy", canDowngrade: false }])
    expect(world.bodies()).toEqual([])
  })

  it("asks a callback, which may have the budget asked again", async () => {
    const budget = memoryBudget({ limits: perDay(NO_HEAVY_FITS) })
    const hold = { id: "somebody else's", scopes: {}, amount: { money: nanoUsd(19_000_000), tokens: 0 } }
    await budget.reserve(hold)
    const questions: RefusalQuestion[] = []
    const whenRefused = async (question: RefusalQuestion) => {
      questions.push(question)
      await budget.release(hold.id)
      return "ask-again" as const
    }
    await using world = await openWorld({ budget, maxOutputTokens: 500, underPressure: { whenRefused } })
    const reply = await world.router.invoke("Hello", { preference: 1, scopes: { user: "ada" } })
    expect(replyMetadata(reply)).toMatchObject({ tier: "heavy", reason: "estimated" })
    expect(questions).toMatchObject([
      {
        id: world.records[0]?.id,
        scopes: { user: "ada" },
        tier: "heavy",
        refusal: { scope: "tenant:default" },
        canDowngrade: true,
      },
    ])
  })

  it("takes a callback that fails, or says something else, for a no", async () => {
    for (const whenRefused of [
      () => Promise.reject(new Error("nobody is in")),
      () => "perhaps" as unknown as "block",
    ]) {
      const budget = memoryBudget({ limits: perDay(NO_HEAVY_FITS) })
      await using world = await openWorld({ budget, maxOutputTokens: 4_000, underPressure: { whenRefused } })
      await expect(world.router.invoke("Hello", { preference: 1 })).rejects.toThrow(BudgetExceededError)
      expect(world.records[0]?.problems).toMatchObject([
        { room: "budget", error: expect.stringMatching(/whenRefused: (nobody is in|"perhaps" is none of)/) },
      ])
    }
  })

  it("lets an interrupt through, which asks a person", async () => {
    const budget = memoryBudget({ limits: perDay(NO_HEAVY_FITS) })
    const interrupt = Object.assign(new Error("how much more?"), { name: "GraphInterrupt" })
    const whenRefused = () => Promise.reject(interrupt)
    await using world = await openWorld({ budget, maxOutputTokens: 4_000, underPressure: { whenRefused } })
    await expect(world.router.invoke("Hello", { preference: 1 })).rejects.toBe(interrupt)
  })

  it("ends with its caller, also when a callback has everybody asked again at once, each time", async () => {
    const budget = memoryBudget({ limits: perDay(NO_HEAVY_FITS) })
    let asked = 0
    const whenRefused = () => {
      asked++
      return "ask-again" as const
    }
    await using world = await openWorld({
      budget,
      maxOutputTokens: 4_000,
      underPressure: { whenRefused },
      retryBaseMs: 5,
    })
    const call = world.router.invoke("Hello", { preference: 1, signal: AbortSignal.timeout(60) })
    await expect(call).rejects.toThrow(/abort|timeout/i)
    expect(asked).toBeGreaterThan(1)
    expect(asked).toBeLessThan(30)
    // One skip is told, not one for every time.
    expect(world.records[0]?.attempts).toHaveLength(1)
  })

  it("does not escalate beyond what was decided before the downgrade", async () => {
    const budget = memoryBudget({ limits: perDay(0.004) })
    const validator = { name: "never", validate: () => ({ accepted: false as const, reason: "no" }) }
    const underPressure = { whenRefused: "downgrade" } as const
    await using world = await openWorld({
      budget,
      validator,
      maxOutputTokens: 4_000,
      underPressure,
      policy: STANDARD,
    })
    await world.router.invoke("Hello")
    expect(world.records[0]?.decisions.map(({ tier, reason, ceiling }) => [tier, reason, ceiling])).toEqual([
      ["standard", "estimated", "heavy"],
      ["light", "downgraded", "standard"],
      ["standard", "escalated", "standard"],
    ])
  })

  it("puts the tier on the record that was really asked, and none that was not", async () => {
    // Neither heavy nor standard fits, light does; its answer is rejected, and what it may escalate to is refused again.
    const budget = memoryBudget({ limits: perDay(0.004) })
    const validator = { name: "never", validate: () => ({ accepted: false as const, reason: "no" }) }
    const underPressure = { whenRefused: "downgrade" } as const
    await using world = await openWorld({ budget, validator, maxOutputTokens: 4_000, underPressure })
    const reply = await world.router.invoke("Hello", { preference: 1 })
    expect(replyMetadata(reply)).toMatchObject({ tier: "light", reason: "downgraded", rejected: "no" })
    expect(world.records[0]?.decisions.map(({ tier, reason }) => [tier, reason])).toEqual([
      ["heavy", "estimated"],
      ["light", "downgraded"],
      ["standard", "escalated"],
    ])
  })

  it("is asked when one who should answer failed and another was refused", async () => {
    const budget = memoryBudget({ limits: perDay(0.02) })
    const questions: RefusalQuestion[] = []
    const whenRefused = (question: RefusalQuestion) => {
      questions.push(question)
      return "block" as const
    }
    await using world = await openWorld({
      budget,
      maxOutputTokens: 4_000,
      underPressure: { whenRefused },
      policy: STANDARD,
    })
    world.simulator.script([{ model: "sim-medium", status: 401 }])
    await expect(world.router.invoke("Hello")).rejects.toMatchObject({ code: "candidates-exhausted" })
    expect(world.records[0]?.attempts.map(({ tier, outcome }) => [tier, outcome])).toEqual([
      ["standard", "failed"],
      ["heavy", "skipped"],
    ])
    expect(questions).toMatchObject([{ tier: "standard", canDowngrade: true }])
  })

  it("does not wait for a callback whose caller has gone", async () => {
    const budget = memoryBudget({ limits: perDay(NO_HEAVY_FITS) })
    const caller = new AbortController()
    const whenRefused = () => {
      queueMicrotask(() => caller.abort())
      return new Promise<never>(() => {})
    }
    await using world = await openWorld({ budget, maxOutputTokens: 4_000, underPressure: { whenRefused } })
    const call = world.router.invoke("Hello", { preference: 1, signal: caller.signal })
    await expect(call).rejects.toMatchObject({ name: "AbortError" })
  })
})

describe("a budget that runs low", () => {
  it("sends calls one tier lower from the stated share on, and explain says the same", async () => {
    const budget = memoryBudget({ limits: perDay(1) })
    await using world = await openWorld({ budget, underPressure: { downgradeAt: 0.8 } })
    await spend(budget, 0.79)
    await world.router.invoke("Hello", { preference: 1 })
    await spend(budget, 0.02)
    await world.router.invoke("Hello", { preference: 1 })
    const [before, after] = world.records
    expect(before?.plan.decision).toMatchObject({ tier: "heavy", reason: "estimated" })
    expect(after?.plan.decision).toMatchObject({
      tier: "standard",
      reason: "downgraded",
      because: expect.stringContaining("81 % of the day budget of tenant:default is used"),
    })
    const { snapshot } = after as NonNullable<typeof after>
    expect(await world.router.explain("Hello", { preference: 1, snapshot })).toEqual(after?.plan)
    expect((await world.router.explain("Hello", { preference: 1 })).decision.reason).toBe("downgraded")
  })

  it("presses on those alone whose budget it is [N10.budget]", async () => {
    const budget = memoryBudget({ limits: perDay(1) })
    await using world = await openWorld({ budget, underPressure: { downgradeAt: 0.8 } })
    await spend(budget, 0.9, { tenant: "acme" })
    const tierFor = async (tenant: string) =>
      (await world.router.explain("Hello", { preference: 1, scopes: { tenant } })).decision.tier
    expect(await tierFor("acme")).toBe("standard")
    expect(await tierFor("other")).toBe("heavy")
  })

  it("warns at 80 % and 95 %, once each [E4.alert-80] [E4.alert-95] [C8.budget-alerts]", async () => {
    const warnings: BudgetWarning[] = []
    const budget = memoryBudget({ limits: perDay(1), onWarning: (warning) => warnings.push(warning) })
    await using world = await openWorld({ budget })
    await spend(budget, 0.8)
    await Promise.all(Array.from({ length: 5 }, () => world.router.invoke("Hello")))
    await spend(budget, 0.15)
    await world.router.invoke("Hello")
    expect(warnings.map(({ share, scope }) => [share, scope])).toEqual([
      [0.8, "tenant:default"],
      [0.95, "tenant:default"],
    ])
  })
})

describe("a store that misbehaves", () => {
  const good = () => memoryBudget({ limits: perDay(1) })
  const never = () => new Promise<never>(() => {})
  const atOnce = () => {
    throw new Error("no such host")
  }

  it.each([
    ["reserve", atOnce],
    ["reserve", () => Promise.reject(new Error("no such host"))],
  ] as const)("is said to be unavailable when its %s throws, and nobody is called", async (method, fails) => {
    await using world = await openWorld({ budget: { ...good(), [method]: fails } })
    await expect(world.router.invoke("Hello")).rejects.toMatchObject({ code: "budget-unavailable" })
    expect(world.bodies()).toEqual([])
  })

  it("presses on nobody when its status throws, and the record says so", async () => {
    for (const status of [atOnce, () => Promise.reject(new Error("no such host"))]) {
      const underPressure = { downgradeAt: 0.5 }
      await using world = await openWorld({ budget: { ...good(), status }, underPressure })
      await world.router.invoke("Hello", { preference: 1 })
      const [record] = world.records
      expect(record?.plan.decision).toMatchObject({ tier: "heavy", reason: "estimated" })
      expect(record?.problems).toMatchObject([
        { room: "budget", error: expect.stringContaining("no such host") },
      ])
      const { snapshot } = record as NonNullable<typeof record>
      expect(await world.router.explain("Hello", { preference: 1, snapshot })).toEqual(record?.plan)
    }
  })

  it("loses no answer and stops no process when it cannot extend or settle", async () => {
    const store = memoryBudget({ limits: perDay(1), holdTtlMs: 30 })
    await using world = await openWorld({ budget: { ...store, extend: atOnce, settle: atOnce } })
    world.simulator.script([{ delayMs: 60 }])
    const reply = await world.router.invoke("Hello")
    expect(reply.text).not.toBe("")
    expect(world.records[0]?.attempts).toMatchObject([{ outcome: "answered" }])
  })

  it("that hangs is not waited for by a caller who goes", async () => {
    await using world = await openWorld({ budget: { ...good(), reserve: never } })
    const call = world.router.invoke("Hello", { signal: AbortSignal.timeout(30) })
    await expect(call).rejects.toThrow(/abort|timeout/i)
    expect(world.bodies()).toEqual([])
  })
})

describe("a limit of one request", () => {
  it("holds for all its attempts together, and for each request anew [A1.request-budget]", async () => {
    const budget = memoryBudget({ limits: [{ scope: "request", usd: 0.01 }] })
    // The light answer costs little, but no heavy one fits into what is left for this request.
    const validator = { name: "never", validate: () => ({ accepted: false as const, reason: "no" }) }
    await using world = await openWorld({ budget, validator, maxOutputTokens: 3_000 })
    for (let call = 0; call < 2; call++) {
      const reply = await world.router.invoke("Hello")
      expect(replyMetadata(reply)).toMatchObject({ tier: "standard", rejected: "no" })
    }
    const [first] = world.records
    expect(first?.problems.map(({ error }) => error)).toEqual([
      expect.stringContaining(`The total budget of request:${first?.id} has`),
    ])
  })

  it("may span several calls, where the caller names the request", async () => {
    const budget = memoryBudget({ limits: [{ scope: "request", tokens: 300 }] })
    await using world = await openWorld({
      budget,
      maxOutputTokens: 50,
      tiers: ["light", "standard", "heavy"],
    })
    const scopes = { request: "web-17" }
    const ask = () =>
      world.router.invoke("Hello", { scopes }).then(
        () => "answered",
        () => "refused",
      )
    const outcomes = []
    for (let call = 0; call < 30; call++) outcomes.push(await ask())
    expect(outcomes[0]).toBe("answered")
    expect(outcomes.at(-1)).toBe("refused")
    expect(await budget.status(scopes)).toMatchObject([{ scope: "request:web-17", limit: 300, held: 0 }])
  })
})

describe("holds of long calls", () => {
  it("do not expire while words come, and expire when their reader sleeps", async () => {
    const budget = memoryBudget({ limits: perDay(1), holdTtlMs: 60 })
    await using world = await openWorld({ budget })
    world.simulator.script([{ model: "sim-small", answer: "one two three four five six seven eight" }])
    const slow = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
    const seen: number[] = []
    for await (const _ of await world.router.stream("Hello")) {
      await slow(25)
      seen.push((await budget.status({}))[0]?.unconfirmed ?? 0)
    }
    expect(seen.length).toBeGreaterThan(4)
    expect(new Set(seen)).toEqual(new Set([0]))

    world.simulator.script([{ model: "sim-small", answer: "one two three four five six seven eight" }])
    const asleep = await world.router.stream("Hello")
    const reader = asleep[Symbol.asyncIterator]()
    await reader.next()
    await reader.next()
    await slow(200)
    const [status] = await budget.status({})
    expect(status).toMatchObject({ held: 0 })
    expect(status?.unconfirmed).toBeGreaterThan(0)
    // When it wakes up and reads to the end, the bill takes the place of the guess.
    while ((await reader.next()).done !== true);
    const billed = world.simulator.invoices().reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)
    expect((await budget.status({}))[0]).toMatchObject({ spent: billed, held: 0, unconfirmed: 0 })
  })

  it("do not expire while the provider thinks", async () => {
    const budget = memoryBudget({ limits: perDay(1), holdTtlMs: 60 })
    await using world = await openWorld({ budget })
    world.simulator.script([{ delayMs: 250 }])
    const call = world.router.invoke("Hello")
    await new Promise((resolve) => setTimeout(resolve, 200))
    const [status] = await budget.status({})
    expect(status).toMatchObject({ unconfirmed: 0 })
    expect(status?.held).toBeGreaterThan(0)
    await call
    expect((await budget.status({}))[0]).toMatchObject({ held: 0, unconfirmed: 0 })
  })
})

describe("a hold's id", () => {
  it("travels with the request where that is wanted, so that the invoice can be matched", async () => {
    const budget = memoryBudget({ limits: perDay(1) })
    await using world = await openWorld({ budget, requestIdHeader: "x-request-id" })
    await world.router.invoke("Hello")
    for await (const _ of await world.router.stream("Hello again"));
    const held = world.records.flatMap(({ attempts }) => attempts.map(({ holdId }) => holdId))
    expect(held).toHaveLength(2)
    expect(world.simulator.invoices().map(({ requestId }) => requestId)).toEqual(held)
  })

  it("stays at home otherwise", async () => {
    const budget = memoryBudget({ limits: perDay(1) })
    await using world = await openWorld({ budget })
    await world.router.invoke("Hello")
    const [held] = world.records[0]?.attempts.map(({ holdId }) => holdId) ?? []
    expect(held).toBeTypeOf("string")
    expect(JSON.stringify(world.simulator.requests())).not.toContain(held)
  })
})

describe("a month that is paced", () => {
  it("is neither spent on day three nor left over", async () => {
    let now = Date.UTC(2026, 8, 1)
    const monthly = 72_000
    const play = async (pace: boolean) => {
      now = Date.UTC(2026, 8, 1)
      const budget = memoryBudget({
        limits: [{ scope: "tenant", window: "month", usd: monthly / 1e9 }],
        now: () => now,
      })
      await using world = await openWorld({
        budget,
        now: () => now,
        underPressure: { ...(pace && { pace: true as const }), whenRefused: "block" },
      })
      let [served, strong, spentOnDayThree] = [0, 0, 0]
      // Each day asks for about three times its share at heavy prices, and for less than its share at light ones.
      const costs: Readonly<Record<string, number>> = { heavy: 300, standard: 60, light: 10 }
      for (let hour = 0; hour < 30 * 24; hour++) {
        now = Date.UTC(2026, 8, 1) + hour * (DAY / 24) + 1
        const plan = await world.router.explain("Hello", { preference: 1 })
        const { tier } = plan.decision
        const amount = { money: nanoUsd(costs[tier] ?? 0), tokens: 0 }
        const { granted } = await budget.reserve({ id: `${hour}`, scopes: {}, amount })
        if (granted) await budget.settle(`${hour}`, amount)
        served += granted ? 1 : 0
        strong += granted && tier === "heavy" ? 1 : 0
        if (hour === 3 * 24) spentOnDayThree = (await budget.status({}))[0]?.spent ?? 0
      }
      const [status] = await budget.status({})
      return { served, strong, spentOnDayThree, spent: (status?.spent ?? 0) / monthly }
    }
    const paced = await play(true)
    const unpaced = await play(false)
    expect(unpaced.served).toBeLessThan(0.4 * 720)
    expect(unpaced.spentOnDayThree).toBeGreaterThan(0.29 * monthly)
    // Only on the very last hours a single call can be too dear for what is left.
    expect(paced.served).toBeGreaterThan(0.99 * 720)
    expect(paced.spentOnDayThree).toBeLessThan(0.2 * monthly)
    expect(paced.spent).toBeGreaterThan(0.95)
    expect(paced.spent).toBeLessThanOrEqual(1)
    expect(paced.strong).toBeGreaterThan(10)
  })
})
