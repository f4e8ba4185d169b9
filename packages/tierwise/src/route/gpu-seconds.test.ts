import { describe, expect, it } from "vitest"
import type { Deployment, Price } from "../spec/catalog.ts"
import type { Attempt } from "../spec/dispatch.ts"
import { nanoUsd } from "../spec/money.ts"
import { NO_USAGE } from "../spec/usage.ts"
import { gpuSecondsAt, gpuSecondsOf } from "./gpu-seconds.ts"

function deployment(id: string, price: Price, gpuMemoryGb?: number): Deployment {
  return { id, tier: "t", price, gpuMemoryGb, profile: {}, labels: {}, weight: 1, model: undefined as never }
}

const rented = deployment("rented", { perGpuSecond: 0.001, outputTokensPerSecond: 50 })
const light = deployment("light", { costWeight: 1 }, 8)
const heavy = deployment("heavy", { costWeight: 10 }, 72)
const cloud = deployment("cloud", { inputPerMTok: 1, outputPerMTok: 2 })
const unstated = deployment("unstated", { costWeight: 3 })
const all = [rented, light, heavy, cloud, unstated]

const answer = (deploymentId: string, cost: number, durationMs: number): Attempt => ({
  deploymentId,
  tier: "t",
  startedAt: 0,
  durationMs,
  firstPieceMs: 1,
  outcome: "answered",
  usage: { ...NO_USAGE, outputTokens: 100 },
  cost: nanoUsd(cost),
})
const refused: Attempt = {
  deploymentId: "cloud",
  tier: "t",
  startedAt: 0,
  durationMs: 5,
  outcome: "failed",
  failure: "rate-limited",
  error: "429",
  cost: nanoUsd(0),
}

describe("gpuSecondsAt", () => {
  it("divides the cost by the price of a GPU second", () => {
    // 100 tokens at 50 a second take 2 s, which cost 0.002 USD.
    const work = { cost: nanoUsd(2_000_000), measuredAt: cloud, measuredMs: 9_000 }
    expect(gpuSecondsAt(rented, work)).toBe(2)
  })

  it("scales measured time by cost weights", () => {
    const work = { cost: nanoUsd(1), measuredAt: light, measuredMs: 1_500 }
    expect(gpuSecondsAt(light, work)).toBe(1.5)
    expect(gpuSecondsAt(heavy, work)).toBe(15)
  })

  it("does not know about somebody else's GPU, nor about weights without one", () => {
    const work = { cost: nanoUsd(1), measuredAt: light, measuredMs: 1_500 }
    expect(gpuSecondsAt(cloud, work)).toBeUndefined()
    expect(gpuSecondsAt(unstated, work)).toBeUndefined()
    expect(gpuSecondsAt(heavy, { ...work, measuredAt: cloud })).toBeUndefined()
    expect(gpuSecondsAt(heavy, { ...work, measuredAt: undefined })).toBeUndefined()
  })
})

describe("gpuSecondsOf", () => {
  it("adds up all attempts that used tokens", () => {
    const attempts = [answer("rented", 2_000_000, 1), refused, answer("light", 1, 500)]
    expect(gpuSecondsOf(attempts, all)).toBe(2.5)
  })

  it("is unknown, not 0, if it is for one of them or if nobody was asked", () => {
    expect(gpuSecondsOf([answer("light", 1, 500), answer("cloud", 1, 500)], all)).toBeUndefined()
    expect(gpuSecondsOf([refused], all)).toBeUndefined()
    expect(gpuSecondsOf([], all)).toBeUndefined()
  })
})
