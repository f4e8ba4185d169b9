import type { FaultRate, Outage, SimulatedModel, SimulatorProcess } from "@tierwise/simulator"

/**
 * Six deployments of one tier, equally good. Their ids say what will become of them. Whoever asks them in this order finds
 * somebody who is well next to the two that are worst.
 */
export const DEPLOYMENTS = ["dies", "steady-a", "stalls", "steady-b", "refuses", "flaps"] as const

export type DeploymentId = (typeof DEPLOYMENTS)[number]

/** What a call may take, ms. */
export const DEADLINE_MS = 2_000

/** How long nothing may come, before the first piece and between two pieces, ms. */
export const STALL_MS = 300

/** How long a pass takes unscaled, s. */
export const PASS_SECONDS = 60

/** A flapping deployment is down for the first half of each period, ms. */
const FLAP_PERIOD_MS = 5_000

/** Answers of four to six tokens take 50 to 150 ms altogether. */
export const MODELS: readonly SimulatedModel[] = DEPLOYMENTS.map((id, index) => ({
  id,
  skill: "echo",
  price: { inputPerMTok: 1, outputPerMTok: 1 },
  contextWindow: 32_768,
  maxOutputTokens: 8_192,
  latency: { firstTokenMs: 25 + 12 * index, perThousandInputMs: 0, tokensPerSecond: 125 },
}))

/** From when on what is wrong, s of an unscaled pass. What began goes on to the end. */
export const PHASES: readonly {
  readonly fromSecond: number
  readonly name: string
  readonly outages: readonly Outage[]
  readonly rates: readonly FaultRate[]
}[] = [
  { fromSecond: 0, name: "all are well", outages: [], rates: [] },
  {
    fromSecond: 10,
    name: "one is dead",
    // The hardest death: it takes calls, and says nothing.
    outages: [{ model: "dies", breaks: { how: "stalls", at: "arrival" } }],
    rates: [],
  },
  {
    fromSecond: 20,
    name: "one stalls, too",
    outages: [{ model: "stalls", breaks: { how: "stalls", at: "first-token" } }],
    rates: [],
  },
  {
    fromSecond: 30,
    name: "one refuses and one flaps, too",
    outages: [
      {
        model: "flaps",
        toMs: FLAP_PERIOD_MS / 2,
        everyMs: FLAP_PERIOD_MS,
        breaks: { how: "reset", at: "arrival" },
      },
    ],
    rates: [{ model: "refuses", share: 0.5, status: 429 }],
  },
]

/** When the deployments fell ill, epoch ms, by phase. */
export type PhaseTimes = readonly number[]

/**
 * Plays the phases on a running provider.
 *
 * @param startAt Epoch ms.
 * @param scale Share of the full time.
 */
export async function playPhases(
  provider: SimulatorProcess,
  { startAt, scale }: { readonly startAt: number; readonly scale: number },
  progress: (line: string) => void,
): Promise<PhaseTimes> {
  const times: number[] = []
  for (const [index, { fromSecond, name }] of PHASES.entries()) {
    await until(startAt + fromSecond * 1_000 * scale)
    const soFar = PHASES.slice(0, index + 1)
    await provider.setOutages(soFar.flatMap(({ outages }) => outages))
    await provider.setFaultRates(soFar.flatMap(({ rates }) => rates))
    times.push(Date.now())
    progress(`  second ${Math.round(fromSecond * scale)}: ${name}`)
  }
  return times
}

/** @param at Epoch ms. */
export function until(at: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, at - Date.now())))
}
