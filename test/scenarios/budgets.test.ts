import { BudgetExceededError, memoryBudget, type RouteRecord } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld } from "./world.ts"

const limitsOf = (usd: number) => [{ scope: "tenant", window: "day" as const, usd }]

describe("money is held before it is spent", () => {
  it("never overspends with many calls at once [N1.reserve] [N1.settle] [N1.release]", async () => {
    const budget = memoryBudget({ limits: limitsOf(0.002) })
    await using world = await openWorld({ budget, maxOutputTokens: 100, maxFallbackAttempts: 0 })
    const settled = await Promise.allSettled(
      Array.from({ length: 200 }, (_, i) => world.router.invoke(`Hello number ${i}`)),
    )
    const refused = settled.filter(({ status }) => status === "rejected")
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThan(200)
    for (const { reason } of refused as PromiseRejectedResult[])
      expect(reason).toBeInstanceOf(BudgetExceededError)
    const billed = world.simulator.invoices().reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)
    const [status] = await budget.status({})
    expect(status).toMatchObject({ held: 0, spent: billed, unconfirmed: 0 })
    expect(billed).toBeLessThanOrEqual(2_000_000)
  })

  it("calls nobody when the budget refuses, and says scope, limit and reset", async () => {
    const budget = memoryBudget({ limits: limitsOf(0.000001) })
    await using world = await openWorld({ budget })
    const error = await world.router
      .invoke("Hello", { scopes: { tenant: "acme" } })
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: "budget-exceeded",
      refusal: { scope: "tenant:acme", unit: "NanoUsd", limit: 1_000 },
    })
    expect(world.bodies()).toEqual([])
    expect(world.records[0]?.attempts).toMatchObject([
      { outcome: "skipped" },
      { outcome: "skipped" },
      { outcome: "skipped" },
    ])
  })

  it("goes on to a candidate that fits when a dearer one does not [A1.most-cost-effective]", async () => {
    const budget = memoryBudget({ limits: limitsOf(0.02) })
    const underPressure = { whenRefused: "downgrade" } as const
    await using world = await openWorld({ budget, maxOutputTokens: 4_000, underPressure })
    await world.router.invoke("Hello", { agentSpec: { minTier: "light" }, preference: 1 })
    expect(world.records[0]?.attempts.map(({ outcome }) => outcome)).toEqual(["skipped", "answered"])
  })

  it("holds again, for its own price, at every fallback hop [N1.re-reserved-per-hop]", async () => {
    const held: string[] = []
    const store = memoryBudget({ limits: limitsOf(1) })
    const budget: typeof store = {
      ...store,
      reserve: (request) => {
        held.push(`${request.amount.money}`)
        return store.reserve(request)
      },
    }
    await using world = await openWorld({ budget })
    world.simulator.script([{ model: "sim-small", status: 401 }])
    await world.router.invoke("Hello")
    const quotes = world.records[0]?.plan.candidates.slice(0, 2).map(({ quote }) => `${quote.money}`)
    expect(held).toEqual(quotes)
    expect(await budget.status({})).toMatchObject([{ held: 0, spent: world.records[0]?.cost }])
  })

  it("limits tokens per tenant, apart from each other [E4.per-tenant] [C8.token-quotas]", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", tokens: 700 }] })
    await using world = await openWorld({ budget, maxOutputTokens: 300 })
    const ask = (tenant: string) => world.router.invoke("Hello there", { scopes: { tenant } })
    await ask("a")
    await ask("b")
    const [a] = await budget.status({ tenant: "a" })
    expect(a?.spent).toBe(tokensOf(world.records[0]))
  })

  it("answers all the same when the store cannot close a hold, and writes it down", async () => {
    const store = memoryBudget({ limits: limitsOf(1) })
    const budget: typeof store = { ...store, settle: () => Promise.reject(new Error("disk full")) }
    await using world = await openWorld({ budget })
    expect((await world.router.invoke("Hello")).text).not.toBe("")
    expect(world.records[0]?.problems).toMatchObject([
      { room: "budget", error: expect.stringContaining("is not available: disk full") },
    ])
  })

  it("fails closed when the store cannot hold", async () => {
    const store = memoryBudget({ limits: limitsOf(1) })
    const budget: typeof store = { ...store, reserve: () => Promise.reject(new Error("store down")) }
    await using world = await openWorld({ budget })
    await expect(world.router.invoke("Hello")).rejects.toThrow("store down")
    expect(world.bodies()).toEqual([])
  })
})

function tokensOf(record: RouteRecord | undefined): number {
  const attempt = record?.attempts[0]
  if (attempt?.outcome !== "answered") return Number.NaN
  return attempt.usage.inputTokens + attempt.usage.outputTokens
}
