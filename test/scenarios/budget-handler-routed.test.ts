import { InMemoryCache } from "@langchain/core/caches"
import type { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import { awaitAllCallbacks } from "@langchain/core/callbacks/promises"
import {
  BudgetCallbackHandler,
  BudgetExceededError,
  type BudgetStore,
  type CalledModel,
  FallbackChain,
  memoryBudget,
  type Price,
  RouterChatModel,
  type RouterChatModelFields,
} from "tierwise"
import { describe, expect, it } from "vitest"
import { failureOf, silently } from "./budget-handler-world.ts"
import { chatModel, deploymentOf, deploymentsOf, openWorld, type World } from "./world.ts"

describe("BudgetCallbackHandler over a router", () => {
  it.each(["whole", "streamed"] as const)(
    "counts each call of a router without a budget, at its own price, %s [L3.budget-routed]",
    async (way) => {
      const { budget, granted } = ledger(1)
      await using world = await openWorld()
      const callbacks = [handlerOf(world, budget)]
      await ask(world.router, way, { callbacks })
      await ask(world.router, way, { callbacks, tier: "heavy" })
      world.simulator.script([{ model: "sim-small", status: 401 }])
      await ask(world.router, way, { callbacks })
      expect(granted).toHaveLength(4)
      expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world), unconfirmed: 0 })
    },
  )

  it.each(["whole", "streamed"] as const)(
    "leaves the calls alone whose money the router holds in the same ledger, %s [L3.budget-routed]",
    async (way) => {
      const { budget, granted } = ledger(1)
      await using world = await openWorld({ budget })
      const callbacks = [handlerOf(world, budget)]
      world.simulator.script([{ model: "sim-small", status: 401 }])
      await ask(world.router, way, { callbacks })
      await ask(world.router.withConfig({ callbacks }), way, {})
      expect(granted).toHaveLength(3)
      expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world) })
    },
  )

  it("counts in its own ledger what the router holds in another one", async () => {
    const [theirs, ours] = [ledger(1).budget, ledger(1).budget]
    await using world = await openWorld({ budget: theirs })
    const callbacks = [handlerOf(world, ours)]
    await Promise.all(Array.from({ length: 20 }, (_, i) => world.router.invoke(`Hello ${i}`, { callbacks })))
    expect(await spentIn(theirs)).toMatchObject({ held: 0, spent: billed(world) })
    expect(await spentIn(ours)).toMatchObject({ held: 0, spent: billed(world) })
  })

  it("counts given to the router's constructor, to the call, to a deployment's model, or to all of them", async () => {
    const { budget, granted } = ledger(1)
    await using world = await openWorld()
    const handler = handlerOf(world, budget)
    const model = chatModel(world.simulator, "sim-small")
    model.callbacks = [handler]
    const router = routerOver(world, {
      deployments: [{ ...deploymentOf(world.simulator, "light", "sim-small"), model }],
      tiers: ["light"],
      callbacks: [handler],
    })
    await router.invoke("Hello", { callbacks: [handler] })
    await router.invoke("Hello")
    expect(granted).toHaveLength(2)
    expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world) })
  })

  it("counts once in a fallback chain of routers, with and without the ledger", async () => {
    const { budget } = ledger(1)
    await using world = await openWorld({ budget })
    const callbacks = [handlerOf(world, budget)]
    const links = [world.router, routerOver(world, {})].map((runnable, i) => ({ tier: `${i}`, runnable }))
    world.simulator.script([{ status: 401, times: 3 }])
    await new FallbackChain({ links }).invoke("Hello", { callbacks })
    expect(world.bodies()).toHaveLength(4)
    expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world) })
  })

  it.each([
    ["neither has", false, false],
    ["the outer one has", true, false],
    ["the inner one has", false, true],
    ["both have", true, true],
  ])("counts a router inside a router once if %s the ledger", async (_, outside, inside) => {
    const { budget, granted } = ledger(1)
    await using world = await openWorld()
    const inner = routerOver(world, inside ? { budget } : {})
    const deployments = [{ id: "inner", tier: "light", model: inner, price: "free" as const }]
    const outer = routerOver(world, { deployments, tiers: ["light"], ...(outside && { budget }) })
    await outer.invoke("Hello", { callbacks: [handlerOf(world, budget)] })
    expect(granted).toHaveLength(outside ? 2 : 1)
    expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world) })
  })

  it("counts every attempt of an escalation, gated or not", async () => {
    for (const gate of ["off", "full"] as const) {
      const { budget, granted } = ledger(1)
      let judged = 0
      const validator = {
        name: "first-is-poor",
        validate: () =>
          ++judged === 1 ? { accepted: false as const, reason: "poor" } : { accepted: true as const },
      }
      await using world = await openWorld({ validator, gate })
      const callbacks = [handlerOf(world, budget)]
      const way = gate === "full" ? "streamed" : "whole"
      await ask(world.router, way, { callbacks, agentSpec: { minTier: "light" } })
      expect(world.bodies().length).toBe(2)
      expect(granted).toHaveLength(2)
      expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world) })
    }
  })

  it("bills no answer out of the router's cache", async () => {
    const { budget } = ledger(1)
    await using world = await openWorld({ cache: new InMemoryCache() })
    const callbacks = [handlerOf(world, budget)]
    for (const way of ["whole", "streamed", "whole"] as const) await ask(world.router, way, { callbacks })
    expect(world.bodies()).toHaveLength(1)
    expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world) })
  })

  it("sends the router to a cheaper candidate when it refuses a call", async () => {
    const { budget } = ledger(0.002)
    await using world = await openWorld({ maxOutputTokens: 1_000 })
    const dear = deploymentOf(world.simulator, "light", "sim-large")
    const cheap = deploymentOf(world.simulator, "light", "sim-small")
    const router = routerOver(world, {
      tiers: ["light"],
      deployments: [
        { ...dear, weight: 1 },
        { ...cheap, weight: 0 },
      ],
      order: "weighted",
      maxOutputTokens: 1_000,
    })
    const answer = await silently(() => router.invoke("Hello", { callbacks: [handlerOf(world, budget)] }))
    expect(answer.text).not.toBe("")
    expect(world.bodies().map(({ model }) => model)).toEqual(["sim-small"])
    expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world) })
  })

  it.each(["whole", "streamed"] as const)(
    "ends the call with BudgetExceededError when it refuses every candidate, %s",
    async (way) => {
      const { budget } = ledger(0.000001)
      await using world = await openWorld()
      const callbacks = [handlerOf(world, budget)]
      const error = await silently(() => failureOf(ask(world.router, way, { callbacks })))
      expect(error).toBeInstanceOf(BudgetExceededError)
      expect(world.bodies()).toEqual([])
      expect(await spentIn(budget)).toMatchObject({ held: 0, spent: 0 })
    },
  )

  it("ends the call with BudgetUnavailableError when the store is down, and calls nobody", async () => {
    const { budget } = ledger(1)
    await using world = await openWorld()
    const down = { ...budget, reserve: () => Promise.reject(new Error("connection lost")) }
    const callbacks = [handlerOf(world, down)]
    const error = await silently(() => failureOf(ask(world.router, "whole", { callbacks })))
    expect(error).toMatchObject({ code: "budget-unavailable" })
    expect(world.bodies()).toEqual([])
  })

  it("hears of a router's streamEvents with and without a version", async () => {
    for (const version of ["v2", undefined] as const) {
      const { budget, granted } = ledger(1)
      await using world = await openWorld()
      const options = { callbacks: [handlerOf(world, budget)], ...(version && { version }) }
      const events = world.router.streamEvents("Hello", options as { version: "v2" })
      for await (const _ of events as AsyncIterable<unknown>);
      await awaitAllCallbacks()
      expect(granted).toHaveLength(1)
      expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world) })
    }
  })

  it("books what a reader of a router breaks off, with or without a budget of the router's", async () => {
    for (const routersOwn of [false, true]) {
      const { budget } = ledger(1)
      await using world = await openWorld(routersOwn ? { budget } : {})
      world.simulator.script([{ answer: "one two three ".repeat(40) }])
      const callbacks = [handlerOf(world, budget)]
      for await (const { text } of await world.router.stream("Count", { callbacks })) if (text !== "") break
      await expect.poll(() => spentIn(budget)).toMatchObject({ held: 0, unconfirmed: 0 })
      expect(await spentIn(budget)).not.toMatchObject({ spent: 0 })
    }
  })

  it("never lets 50 routed calls at once overspend [L3.budget-routed]", async () => {
    const { budget } = ledger(0.001)
    await using world = await openWorld({ maxOutputTokens: 100, maxFallbackAttempts: 0 })
    const callbacks = [handlerOf(world, budget)]
    const settled = await silently(() =>
      Promise.allSettled(
        Array.from({ length: 50 }, (_, i) => world.router.invoke(`Hello ${i}`, { callbacks })),
      ),
    )
    const refused = settled.filter(({ status }) => status === "rejected") as PromiseRejectedResult[]
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThan(50)
    for (const { reason } of refused) expect(reason).toBeInstanceOf(BudgetExceededError)
    expect(await spentIn(budget)).toMatchObject({ held: 0, spent: billed(world) })
    expect(billed(world)).toBeLessThanOrEqual(1_000_000)
  })
})

function ledger(usd: number): { readonly budget: BudgetStore; readonly granted: readonly string[] } {
  const store = memoryBudget({ limits: [{ scope: "global", window: "day", usd }] })
  const granted: string[] = []
  const budget: BudgetStore = {
    ...store,
    reserve: async (request) => {
      const outcome = await store.reserve(request)
      if (outcome.granted) granted.push(request.id)
      return outcome
    },
  }
  return { budget, granted }
}

/** Knows the prices of the world's deployments by their ids. */
function handlerOf({ simulator }: World, budget: BudgetStore): BudgetCallbackHandler {
  const price = ({ deployment, name }: CalledModel): Price | undefined =>
    simulator.models.find(({ id }) => id === (deployment ?? name))?.price
  return new BudgetCallbackHandler({ budget, price })
}

function routerOver({ simulator }: World, fields: Partial<RouterChatModelFields>): RouterChatModel {
  return new RouterChatModel({ deployments: deploymentsOf(simulator), retryBaseMs: 1, ...fields })
}

interface Asked {
  readonly callbacks?: BaseCallbackHandler[]
  readonly tier?: string
  readonly agentSpec?: { readonly minTier: string }
}

async function ask(model: RouterChatModel, way: "whole" | "streamed", options: Asked): Promise<void> {
  if (way === "whole") await model.invoke("Hello", options)
  else for await (const _ of await model.stream("Hello", options));
}

async function spentIn(budget: BudgetStore): Promise<object | undefined> {
  return (await budget.status({}))[0]
}

function billed({ simulator }: World): number {
  return simulator.invoices().reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)
}
