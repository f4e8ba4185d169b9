import type { FaultRate, Outage, SimulatedModel } from "@tierwise/simulator"

/** Their ids say what will become of them. */
const IDS = ["dies", "steady-a", "stalls", "steady-b", "refuses", "flaps"] as const

/** They give back what they are told, in 50 to 150 ms. */
export const MODELS: readonly SimulatedModel[] = IDS.map((id, index) => ({
  id,
  skill: "echo",
  price: { inputPerMTok: 1, outputPerMTok: 1 },
  contextWindow: 32_768,
  maxOutputTokens: 8_192,
  latency: { firstTokenMs: 25 + 15 * index, perThousandInputMs: 0, tokensPerSecond: 125 },
}))

const dead: Outage = { model: "dies", breaks: { how: "stalls", at: "arrival" } }
const stalling: Outage = { model: "stalls", breaks: { how: "stalls", at: "first-token" } }
const flapping: Outage = {
  model: "flaps",
  toMs: 1_000,
  everyMs: 2_000,
  breaks: { how: "reset", at: "arrival" },
}
const refusing: FaultRate = { model: "refuses", share: 0.5, status: 429 }

/** What is wrong from when on. */
export const PHASES: readonly {
  readonly fromSecond: number
  readonly name: string
  readonly outages: readonly Outage[]
  readonly rates: readonly FaultRate[]
}[] = [
  { fromSecond: 0, name: "all are well", outages: [], rates: [] },
  { fromSecond: 3, name: "one is dead: it takes calls and says nothing", outages: [dead], rates: [] },
  { fromSecond: 6, name: "one stalls after its first word", outages: [dead, stalling], rates: [] },
  {
    fromSecond: 9,
    name: "one refuses every other call, one comes and goes",
    outages: [dead, stalling, flapping],
    rates: [refusing],
  },
]
