import { type InvoiceLine, type SimulatedPrice, type Simulator, startSimulator } from "@tierwise/simulator"
import {
  budgetReport,
  costSuggestions,
  formatReport,
  lowConfidence,
  memoryBudget,
  modelMix,
  monthlyBudget,
  monthlyReport,
  type RouteEvent,
  type RouteRecord,
  RouterChatModel,
  savingsReport,
  spendReport,
  weeklyReport,
} from "tierwise"
import { beforeAll, describe, expect, it } from "vitest"
import { deploymentsOf, openWorld, TIER_MODELS } from "./world.ts"

const HARD =
  "Perform a security analysis of our zero-trust architecture: analyze the mTLS handshake between services, assess " +
  "the threat model, and propose a compliance strategy for the audit."

/** The first of two ISO weeks in one month. */
const MONDAY = Date.parse("2026-03-02T00:00:00Z")
const DAY = 86_400_000

/** One call: who asked, and what the provider charged for it, oldest line first. */
interface Billed {
  readonly tenant: string
  readonly at: number
  readonly lines: readonly InvoiceLine[]
}

describe("reports on sixty real calls", () => {
  let records: readonly RouteRecord[] = []
  let calls: readonly Billed[] = []
  let models: Simulator["models"] = []
  let status: Awaited<ReturnType<ReturnType<typeof memoryBudget>["status"]>> = []

  beforeAll(async () => {
    let clock = MONDAY
    const now = () => clock
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "month", usd: 1 }], now })
    await using world = await openWorld({ budget, now, validator: lowConfidence(), maxRetries: 0 })
    const { simulator, router } = world
    const billed: Billed[] = []
    const ask = async (tenant: string, text: string, hints: object = {}) => {
      clock += DAY / 6
      const before = simulator.invoices().length
      await router.invoke(text, { scopes: { tenant }, ...hints })
      billed.push({ tenant, at: clock, lines: simulator.invoices().slice(before) })
    }
    for (let i = 0; i < 30; i++) await ask(i % 3 === 0 ? "umbra" : "acme", `Hello number ${i}`)
    for (let i = 0; i < 18; i++) await ask("acme", `What is ${i} plus 2?`, { taskType: "agent_execution" })
    for (let i = 0; i < 6; i++) await ask("umbra", HARD, { taskType: "security_analysis" })
    for (let i = 0; i < 5; i++) {
      simulator.script([{ model: "sim-small", answer: "I am not sure." }])
      await ask("umbra", `Hello again, number ${i}`, { taskType: "legal" })
    }
    simulator.script([{ model: "sim-small", status: 401 }])
    await ask("acme", "Good morning")
    records = JSON.parse(JSON.stringify(world.records)) as RouteRecord[]
    calls = billed
    models = simulator.models
    status = await budget.status({ tenant: "acme" })
  })

  it("spend what the provider billed, by deployment and by tenant, to the NanoUsd", () => {
    const lines = calls.flatMap((call) => call.lines)
    const byDeployment = spendReport(records, { by: "deployment" })
    expect(byDeployment.skipped.count).toBe(0)
    expect(byDeployment.total.cost.nanoUsd).toBe(sumOf(lines))
    expect(byDeployment.total).toMatchObject({ requests: 60, answers: 60, attempts: 66 })
    for (const { key, cost } of byDeployment.rows)
      expect(cost.nanoUsd).toBe(sumOf(lines.filter(({ model }) => model === key)))
    for (const { key, cost, requests } of spendReport(records, { by: "tenant" }).rows) {
      const own = calls.filter(({ tenant }) => tenant === key)
      expect([cost.nanoUsd, requests]).toEqual([sumOf(own.flatMap((call) => call.lines)), own.length])
    }
    const days = spendReport(records, { by: "day", timeZone: "Asia/Tokyo" }).rows
    expect(days.reduce((sum, { cost }) => sum + cost.nanoUsd, 0)).toBe(sumOf(lines))
  })

  it("save per tenant what the invoices say, over all that was spent [E5.per-tenant] [E5.tokens-saved] [E5.cost-reduction] [E7.savings-estimate]", () => {
    const { rows, total } = savingsReport(records)
    expect(rows.map(({ key }) => key).toSorted()).toEqual(["acme", "umbra"])
    for (const { key, spent, alwaysHeavy, alwaysLight, randomMix, tokens } of rows) {
      const own = calls.filter(({ tenant }) => tenant === key)
      const answers = own.map(({ lines }) => lines.at(-1) as InvoiceLine)
      const at = (model: string) =>
        answers.reduce((sum, line) => sum + repriced(line, priceOf(models, model)), 0)
      expect(spent.nanoUsd).toBe(sumOf(own.flatMap(({ lines }) => lines)))
      expect(alwaysHeavy.cost.nanoUsd).toBe(at(TIER_MODELS.heavy))
      expect(alwaysLight.cost.nanoUsd).toBe(at(TIER_MODELS.light))
      expect(alwaysHeavy.savedPercent).toBeCloseTo(100 * (1 - spent.nanoUsd / at(TIER_MODELS.heavy)), 9)
      const third = Object.values(TIER_MODELS).reduce((sum, model) => sum + at(model), 0) / 3
      expect(Math.abs(randomMix.cost.nanoUsd - third)).toBeLessThanOrEqual(answers.length)
      const heavy = own.flatMap(({ lines }) => lines).filter(({ model }) => model === TIER_MODELS.heavy)
      expect(tokens.saved).toBe(tokensOf(answers) - tokensOf(heavy))
    }
    expect(total.compared).toBe(60)
    // Five answers that were rejected were paid for all the same.
    const rejected = calls.flatMap(({ lines }) => lines.slice(0, -1))
    expect(rejected.filter(({ costNanoUsd }) => costNanoUsd > 0)).toHaveLength(5)
    expect(total.spentOnOtherAttempts.nanoUsd).toBe(sumOf(rejected))
    expect(total.alwaysHeavy.gpuHours).toBeUndefined()
  })

  it("mix the models as the provider was asked [B2.model-mix] [B2.savings]", () => {
    const mix = modelMix(records)
    const answered = (model: string) => calls.filter(({ lines }) => lines.at(-1)?.model === model).length
    expect(mix.tiers.map(({ key, answers }) => [key, answers])).toEqual(
      Object.entries(TIER_MODELS).map(([tier, model]) => [tier, answered(model)]),
    )
    expect(mix.tiers.map(({ answers }) => answers)).toEqual([30, 24, 6])
    expect(mix.againstAlwaysLarge).toEqual(savingsReport(records).total.alwaysHeavy)
  })

  it("say where the month's budget stands and where it is going [C4.status]", () => {
    const acme = status.find(({ scope }) => scope === "tenant:acme")
    if (acme === undefined) throw new Error("the budget has no such scope")
    const own = calls.filter(({ tenant }) => tenant === "acme")
    const spent = sumOf(own.flatMap(({ lines }) => lines))
    expect(monthlyBudget(acme, records)).toEqual({
      year: 2026,
      month: 3,
      monthly_limit: 1,
      total_spent: spent / 1e9,
      remaining: (1e9 - spent) / 1e9,
      percentage_used: (100 * spent) / 1e9,
      request_count: own.length,
    })
    const halfway = (Date.parse("2026-03-01") + Date.parse("2026-04-01")) / 2
    expect(budgetReport(acme, halfway).projected?.spent).toBe(2 * spent)
  })

  it("tell the weeks apart, and what to change [C8.weekly-reports] [C8.monthly-reports] [C8.cost-suggestions]", () => {
    const now = () => MONDAY + 14 * DAY
    const thresholds = { minEvidence: 5 }
    const { periods } = weeklyReport(records, { now, thresholds })
    expect(periods.map(({ name }) => name)).toEqual(["2026-W10", "2026-W11"])
    for (const { startsAt, endsAt, spend } of periods) {
      const own = calls.filter(({ at }) => at >= startsAt && at < endsAt)
      expect(spend.total.cost.nanoUsd).toBe(sumOf(own.flatMap(({ lines }) => lines)))
    }
    const [first, second] = periods
    expect(second?.change?.cost.before).toEqual(first?.spend.total.cost)
    const [month] = monthlyReport(records, { now, thresholds }).periods
    expect(month?.spend.total).toEqual(spendReport(records, { by: "tier" }).total)
    expect(month?.suggestions).toEqual(costSuggestions(records, thresholds).suggestions)
    expect(month?.suggestions).toContainEqual(
      expect.objectContaining({
        kind: "wasted-first-try",
        evidence: expect.objectContaining({ taskType: "legal", tier: "light", escalated: 5, percent: 100 }),
      }),
    )
    expect(periods.map(formatReport)).toEqual([
      expect.stringContaining("# Cost report 2026-W10"),
      expect.stringContaining("# Cost report 2026-W11"),
    ])
  })
})

describe("a report on self-hosted models", () => {
  it("knows the GPU hours that routing saved, by the speeds of the price list [E7.gpu-hours-saved]", async () => {
    const simulator = await startSimulator({ timeScale: 0 })
    // A prompt is read twenty times as fast as an answer is written.
    const speeds = { light: 100, standard: 50, heavy: 10 } as const
    const deployments = deploymentsOf(simulator).map((deployment) => ({
      ...deployment,
      price: { perGpuSecond: 0.001, outputTokensPerSecond: speeds[deployment.tier as keyof typeof speeds] },
    }))
    const records: RouteRecord[] = []
    const on = (event: RouteEvent) => void (event.type === "request-ended" && records.push(event.record))
    const router = new RouterChatModel({ deployments, observers: [{ on }] })
    for (const text of ["Hello", "Good morning"]) await router.invoke(text)
    const seconds = simulator
      .invoices()
      .reduce((sum, { inputTokens, outputTokens }) => sum + outputTokens + inputTokens / 20, 0)
    await simulator.close()
    const { gpuHours } = savingsReport(records).total.alwaysHeavy
    expect(gpuHours?.requests).toBe(2)
    expect(gpuHours?.used).toBeCloseTo(seconds / speeds.light / 3_600, 6)
    expect(gpuHours?.baseline).toBeCloseTo(seconds / speeds.heavy / 3_600, 6)
    expect(gpuHours?.saved).toBeCloseTo((seconds / speeds.heavy - seconds / speeds.light) / 3_600, 6)
  })
})

function sumOf(lines: readonly InvoiceLine[]): number {
  return lines.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)
}

function tokensOf(lines: readonly InvoiceLine[]): number {
  return lines.reduce((sum, { inputTokens, outputTokens }) => sum + inputTokens + outputTokens, 0)
}

function priceOf(models: Simulator["models"], model: string): SimulatedPrice {
  const found = models.find(({ id }) => id === model)
  if (found === undefined) throw new Error(`the simulator has no ${model}`)
  return found.price
}

/** The invoice's tokens at another model's published price, in whole NanoUsd, rounded up. */
function repriced(
  { inputTokens, cachedInputTokens, outputTokens }: InvoiceLine,
  price: SimulatedPrice,
): number {
  const micro = (usd: number) => BigInt(Math.round(usd * 1e6))
  const pico =
    BigInt(inputTokens - cachedInputTokens) * micro(price.inputPerMTok) +
    BigInt(cachedInputTokens) * micro(price.cachedInputPerMTok ?? price.inputPerMTok) +
    BigInt(outputTokens) * micro(price.outputPerMTok)
  return Number((pico + 999n) / 1_000n)
}
