import { fork } from "node:child_process"
import { join } from "node:path"
import { type FaultRate, type Outage, type SimulatedModel, startSimulatorProcess } from "@tierwise/simulator"
import type { Order, Report, Sample } from "./soaker.ts"
import { shiftOf, type Trend, trendOf } from "./trend.ts"

export interface SoakStory {
  readonly calls: number
  readonly samples: number
  readonly outcomes: Readonly<Record<string, number>>
  /** Of all calls that were not aborted or left by their callers. */
  readonly answeredShare: number
  readonly heapMb: Trend
  readonly rssMb: Trend
  /** How many more at the end. */
  readonly handlesShift: number
  readonly socketsShift: number
  /** What was open at the last sample. */
  readonly kindsAtEnd: Readonly<Record<string, number>>
  readonly heldAtEnd: number
  /** Calls that the provider did not answer whole: without them a soak would prove nothing. */
  readonly faults: number
}

export interface SoakOptions {
  readonly seconds: number
  readonly callsPerSecond: number
  readonly sampleEveryMs: number
  readonly progress: (line: string) => void
}

const MODELS: readonly SimulatedModel[] = ["one", "two", "three", "four"].map((id) => ({
  id,
  skill: "echo",
  price: { inputPerMTok: 1, outputPerMTok: 1 },
  contextWindow: 32_768,
  maxOutputTokens: 8_192,
  latency: { firstTokenMs: 30, perThousandInputMs: 0, tokensPerSecond: 200 },
}))

const FAULTS: readonly FaultRate[] = [
  { share: 0.02, status: 500 },
  { share: 0.01, status: 503 },
  { share: 0.02, status: 429 },
  { share: 0.02, breaks: { how: "cut" } },
  { share: 0.01, breaks: { how: "stalls" } },
  { share: 0.01, breaks: { how: "stalls", at: "arrival" } },
  { share: 0.01, breaks: { how: "reset", at: "start" } },
  { share: 0.01, breaks: { how: "garbled" } },
]

const FLAPPING: readonly Outage[] = [{ model: "one", toMs: 2_000, everyMs: 10_000, status: 500 }]

/** The first samples say how code and caches warm up. */
const WARMING_SHARE = 0.25

const OWN_DOING = new Set(["left", "AbortError", "TimeoutError"])

/** A router in a process of its own makes calls at a steady rate; what it holds in between is measured. */
export async function soakStory(options: SoakOptions): Promise<SoakStory> {
  await using provider = await startSimulatorProcess({
    models: MODELS,
    timeScale: 1,
    faultRates: FAULTS,
    outages: FLAPPING,
  })
  const { seconds, callsPerSecond, sampleEveryMs, progress } = options
  const order = {
    baseUrl: provider.baseUrl,
    models: MODELS.map(({ id }) => id),
    seconds,
    callsPerSecond,
    sampleEveryMs,
    seed: 1,
  }
  const { samples, outcomes, heldAtEnd } = await soaked(order, progress)
  const warm = samples.slice(Math.ceil(samples.length * WARMING_SHARE))
  const calls = Object.values(outcomes).reduce((sum, count) => sum + count, 0)
  const own = Object.entries(outcomes).reduce(
    (sum, [name, count]) => sum + (OWN_DOING.has(name) ? count : 0),
    0,
  )
  const lines = await provider.invoices()
  return {
    calls,
    samples: samples.length,
    outcomes,
    answeredShare: (outcomes["answered"] ?? 0) / (calls - own),
    heapMb: trendOf(warm.map(({ heapMb }) => heapMb)),
    rssMb: trendOf(warm.map(({ rssMb }) => rssMb)),
    handlesShift: shiftOf(warm.map(({ handles }) => handles)),
    socketsShift: shiftOf(warm.map(({ sockets }) => sockets)),
    kindsAtEnd: warm.at(-1)?.kinds ?? {},
    heldAtEnd,
    faults: lines.filter(({ outcome }) => outcome !== "completed").length,
  }
}

type News = { readonly sample: Sample } | { readonly report: Report }

function soaked(order: Order, progress: (line: string) => void): Promise<Report> {
  const child = fork(join(import.meta.dirname, "soaker.ts"), {
    execArgv: ["--conditions=@tierwise/source"],
  })
  child.send(order)
  return new Promise((resolve, reject) => {
    child.on("message", (news: News) => {
      if ("report" in news) resolve(news.report)
      else progress(JSON.stringify(news.sample))
    })
    child.once("error", reject)
    child.once("exit", (code) =>
      reject(new Error(`the soaking process ended with ${code} before it reported`)),
    )
  })
}
