import { memoryBudget, NoEligibleDeploymentError } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld } from "./world.ts"

describe("model.quote", () => {
  it("says before the call what it may cost, without making it [A1.estimate-before] [C8.cost-prediction]", async () => {
    const store = memoryBudget({ limits: [{ scope: "tenant", window: "day", usd: 1 }] })
    const held: number[] = []
    const budget: typeof store = {
      ...store,
      reserve: (request) => {
        held.push(request.amount.money)
        return store.reserve(request)
      },
    }
    await using world = await openWorld({ budget })
    const question = "Which is the longest river of Portugal, and where does it rise?"
    const quote = await world.router.quote(question, { maxOutputTokens: 200 })
    expect(world.bodies()).toEqual([])
    expect((await budget.status({}))[0]).toMatchObject({ spent: 0, held: 0 })
    expect(quote).toMatchObject({ deploymentId: "sim-small", tier: "light", maxOutputTokens: 200 })
    expect(quote.candidates.map(({ deploymentId }) => deploymentId)).toEqual([
      "sim-small",
      "sim-medium",
      "sim-large",
    ])

    await world.router.invoke(question, { maxOutputTokens: 200 })
    const [line] = world.simulator.invoices()
    expect(held).toEqual([quote.most.money])
    expect(line?.costNanoUsd).toBeLessThanOrEqual(quote.likely.money)
    expect(quote.likely.money).toBeLessThan(quote.most.money)
    const { inputTokens = 0 } = line ?? {}
    expect(Math.abs(quote.likely.tokens - 200 - inputTokens)).toBeLessThanOrEqual(0.1 * inputTokens + 2)
  })

  it("prices every candidate by itself, and agrees with explain", async () => {
    await using world = await openWorld({ maxOutputTokens: 100 })
    const { plan, candidates } = await world.router.quote("Hello", { taskType: "agent_execution" })
    expect(plan.candidates.map(({ quote }) => quote)).toEqual(candidates.map(({ most }) => most))
    expect(candidates.map(({ tier }) => tier)).toEqual(["standard", "heavy"])
    const { snapshot } = { snapshot: { at: 0, draw: 0 } }
    const explained = await world.router.explain("Hello", { taskType: "agent_execution", snapshot })
    expect(explained).toEqual(plan)
  })

  it("refuses what nobody could take, with the reasons", async () => {
    await using world = await openWorld()
    const quote = world.router.quote("Hello", { labels: { region: "mars" } })
    await expect(quote).rejects.toThrow(NoEligibleDeploymentError)
  })
})
