import { HumanMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { readFeatures } from "../features/read-features.ts"
import { type Rates, ratesOf } from "../pricing/rates.ts"
import type { Deployment } from "../spec/catalog.ts"
import type { Attempt } from "../spec/dispatch.ts"
import { nanoUsd } from "../spec/money.ts"
import type { Plan, RouteEvent } from "../spec/telemetry.ts"
import { NO_USAGE } from "../spec/usage.ts"
import { openRecord } from "./open-record.ts"

/** Of 5 USD per million output tokens at the top, and 1 below. */
const baselines = [baseline("l", "light", 1), baseline("h", "heavy", 5)]

function baseline(id: string, tier: string, outputPerMTok: number): { deployment: Deployment; rates: Rates } {
  const price = { inputPerMTok: 0, outputPerMTok }
  const deployment = { id, tier, price, profile: {}, labels: {}, weight: 1, model: undefined as never }
  return { deployment, rates: ratesOf(price, "p") }
}

const request = {
  messages: [new HumanMessage("Hello")],
  taskType: "simple_qa",
  scopes: { tenant: "acme" },
}
const light = { deploymentId: "l", tier: "light" }
const heavy = { deploymentId: "h", tier: "heavy" }
const timing = { startedAt: 0, durationMs: 1 }
const answered = (by: typeof light, cost: number, outputTokens: number): Attempt => ({
  ...by,
  ...timing,
  outcome: "answered",
  usage: { ...NO_USAGE, outputTokens },
  cost: nanoUsd(cost),
  firstPieceMs: 1,
})
const broken: Attempt = {
  ...light,
  ...timing,
  outcome: "failed",
  failure: "network",
  error: "reset",
  cost: nanoUsd(7),
}
const skipped: Attempt = { ...heavy, ...timing, outcome: "skipped", because: "unaffordable" }

function opened(streamed = false) {
  const told: RouteEvent[] = []
  const plan: Plan = {
    features: readFeatures(request).features,
    estimator: "mine",
    estimate: undefined,
    decision: { tier: "light", reason: "task-type", because: "…", floor: "light", ceiling: "heavy" },
    candidates: [],
    excluded: [],
    problems: [{ room: "complexity", error: "no idea" }],
  }
  const record = openRecord({
    id: "r",
    request,
    snapshot: { at: 1_000, draw: 0 },
    plan,
    streamed,
    baselines,
    deployments: baselines.map(({ deployment }) => deployment),
    now: () => 1_250,
    tell: (event) => told.push(event),
  })
  return { record, plan, told }
}

describe("openRecord", () => {
  it("adds up what every attempt cost, also the failed ones", () => {
    const { record } = opened()
    for (const attempt of [broken, skipped, answered(light, 100, 1), answered(heavy, 3_000, 1)])
      record.attempted(attempt)
    expect(record.close(heavy, undefined).cost).toBe(3_107)
  })

  it("measures the baseline by the tokens of the answer that is returned", () => {
    const { record } = opened()
    record.attempted(answered(light, 100, 20))
    record.attempted(answered(heavy, 3_000, 300))
    // 20 and 300 output tokens at 5 USD per million.
    expect(record.close(light, undefined).baselineCost).toBe(100_000)
    expect(record.close(heavy, undefined).baselineCost).toBe(1_500_000)
    expect(record.close(undefined, new Error("no")).baselineCost).toBe(0)
  })

  it("prices the returned answer in every tier, cheapest tier first", () => {
    const { record } = opened()
    record.attempted(answered(light, 100, 20))
    expect(record.close(light, undefined).tierCosts).toEqual([
      { tier: "light", deploymentId: "l", cost: 20_000 },
      { tier: "heavy", deploymentId: "h", cost: 100_000 },
    ])
    expect(record.close(undefined, new Error("no")).tierCosts).toEqual([])
  })

  it("takes the last answer of a deployment for the returned one", () => {
    const { record } = opened()
    for (const tokens of [20, 30]) record.attempted(answered(light, 100, tokens))
    expect(record.close(light, undefined).baselineCost).toBe(150_000)
  })

  it("compares an answer whose tokens cannot be priced with nothing", () => {
    const { record } = opened()
    record.attempted(answered(light, 100, Number.NaN))
    expect(record.close(light, undefined)).toMatchObject({ baselineCost: 0, tierCosts: [], cost: 100 })
  })

  it("says who answered last, not who failed after it", () => {
    const { record } = opened()
    expect(record.answeredBy()).toBeUndefined()
    for (const attempt of [answered(light, 1, 1), answered(heavy, 1, 1), broken]) record.attempted(attempt)
    expect(record.answeredBy()).toEqual(heavy)
  })

  it("keeps whose request it was, when, how long, and how it went wrong", () => {
    expect(opened(true).record.close(undefined, new Error("down"))).toMatchObject({
      id: "r",
      at: 1_000,
      durationMs: 250,
      scopes: { tenant: "acme" },
      taskType: "simple_qa",
      streamed: true,
      answeredBy: undefined,
      error: "down",
    })
    expect(opened().record.close(light, undefined)).toMatchObject({ streamed: false, error: undefined })
  })

  it("starts from the plan's problems and leaves the plan as it was", () => {
    const { record, plan } = opened()
    record.problem({ room: "budget", error: "disk full" })
    const rooms = record.close(light, undefined).problems.map(({ room }) => room)
    expect(rooms).toEqual(["complexity", "budget"])
    expect(plan.problems).toHaveLength(1)
  })

  it("tells each thing as it happens, under the record's id", () => {
    const { record, plan, told } = opened()
    record.attempted(broken)
    const judged = { ...light, verdict: { accepted: true } } as const
    record.judged(judged)
    record.escalated({ ...plan.decision, tier: "heavy", reason: "escalated" })
    const closed = record.close(light, undefined)
    expect(told).toEqual([
      { type: "plan-made", id: "r", plan },
      { type: "attempt-ended", id: "r", attempt: broken },
      { type: "answer-judged", id: "r", judged },
      { type: "tier-escalated", id: "r", decision: closed.decisions[1] },
      { type: "request-ended", id: "r", record: closed },
    ])
  })
})
