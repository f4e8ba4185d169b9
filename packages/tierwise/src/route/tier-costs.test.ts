import { expect, it } from "vitest"
import { ratesOf } from "../pricing/rates.ts"
import type { Price } from "../spec/catalog.ts"
import { nanoUsd } from "../spec/money.ts"
import { NO_USAGE } from "../spec/usage.ts"
import { type Answered, type Baseline, tierCostsOf } from "./tier-costs.ts"

function baseline(tier: string, price: Price, gpuMemoryGb?: number): Baseline {
  const deployment = {
    id: `${tier}-1`,
    tier,
    price,
    gpuMemoryGb,
    profile: {},
    labels: {},
    weight: 1,
    model: undefined as never,
  }
  return { deployment, rates: ratesOf(price, "price") }
}

const baselines = [
  baseline("light", { costWeight: 1 }, 8),
  baseline("heavy", { costWeight: 10 }, 72),
  baseline("rented", { perGpuSecond: 0.002, outputTokensPerSecond: 50 }),
  baseline("cloud", { inputPerMTok: 1, outputPerMTok: 4 }),
]
const deployments = baselines.map(({ deployment }) => deployment)
const answer: Answered = {
  deploymentId: "heavy-1",
  tier: "heavy",
  startedAt: 0,
  durationMs: 5_000,
  firstPieceMs: 1,
  outcome: "answered",
  usage: { ...NO_USAGE, outputTokens: 100 },
  cost: nanoUsd(100_000),
}

it("says what an answer takes in every tier, in money and, where it can be told, in GPU time", () => {
  expect(tierCostsOf(answer, baselines, deployments)).toEqual([
    // 100 tokens at 0.1 USD per million, and a tenth of the 5 s that the heavy one took.
    { tier: "light", deploymentId: "light-1", cost: 10_000, gpuSeconds: 0.5 },
    { tier: "heavy", deploymentId: "heavy-1", cost: 100_000, gpuSeconds: 5 },
    // 2 s at 50 tokens a second.
    { tier: "rented", deploymentId: "rented-1", cost: 4_000_000, gpuSeconds: 2 },
    { tier: "cloud", deploymentId: "cloud-1", cost: 400_000 },
  ])
})

it("compares nothing with nothing", () => {
  expect(tierCostsOf(undefined, baselines, deployments)).toEqual([])
})
