import { randomUUID } from "node:crypto"
import { startSimulatorProcess } from "@tierwise/simulator"
import { startOwnServices } from "../../services.ts"
import { atLeast, atMost, type Bench } from "../bench.ts"
import { type Crew, hireCrew } from "./crew.ts"
import { figuresOf, healthOf, type Pass } from "./judge.ts"
import { DEADLINE_MS, MODELS, PASS_SECONDS, type PhaseTimes, playPhases, STALL_MS } from "./schedule.ts"
import { BREAKER, POLL_MS, SYSTEMS, type SystemName } from "./systems.ts"

const PROCESSES = 4
const CALLERS = 200
const MOST_CALLS_PER_SECOND = 400
const LEAST_RATE = 100
const TRIED_RATES = [MOST_CALLS_PER_SECOND, 300, 200, 150, LEAST_RATE]
const TRIAL_SECONDS = 4

/** The 99th percentile of what calls take then, ms: short of the stall timer, which would take a busy machine for a dead one. */
const MOST_CARRIED_MS = 250

/** The 99th percentile of how much later than they should calls begin, where the machine carries them. */
const MOST_LATE_MS = 50

/** Code that has run a few hundred times is several times as fast. */
const WARM_UP_RATE = 150
const WARM_UPS = 2

/** Between an order and its first call, ms. */
const START_MS = 500

/** Deployments die, stall, refuse and flap: what do callers notice, and what does it cost? */
export const bench: Bench = {
  async run(progress) {
    const scale = secondsFrom(process.env["TIERWISE_CHAOS_SECONDS"]) / PASS_SECONDS
    await using services = await startOwnServices("redis")
    const redisUrl = services.url("redis")
    const carried: Partial<Record<SystemName, number>> = {}
    const rates: Partial<Record<SystemName, number>> = {}
    const starved: Partial<Record<SystemName, unknown>> = {}
    const passes: Partial<Record<SystemName, Pass>> = {}
    for (const system of SYSTEMS) {
      await using crew = await hireCrew(PROCESSES)
      const play = (rate: number, share: number) =>
        playPass({ crew, system, redisUrl, rate, scale: share, progress })
      carried[system] = await carriedRate(system, play, progress)
      // Side by side: nobody is asked for more than the router carries.
      const rate = Math.max(LEAST_RATE, Math.min(carried[system], carried.tierwise ?? MOST_CALLS_PER_SECOND))
      const played = await playCarried(system, rate, (at) => play(at, scale), progress)
      rates[system] = played.rate
      passes[system] = played.pass
      if (played.starved !== undefined) starved[system] = { rate, ...figuresOf(played.starved) }
    }
    const ours = passes.tierwise as Pass
    const [figures, health] = [figuresOf(ours), healthOf(ours)]
    const others = Object.entries(passes).filter(([name]) => name !== "tierwise")
    const shownAt = rateShown(rates.tierwise ?? 0)
    progress(`health: ${JSON.stringify(health)}`)
    return {
      figures: {
        processes: PROCESSES,
        callers: CALLERS,
        seconds: Math.round(PASS_SECONDS * scale),
        settings: { deadlineMs: DEADLINE_MS, stallTimeoutMs: STALL_MS, breaker: BREAKER, pollMs: POLL_MS },
        wantedCallsPerSecond: MOST_CALLS_PER_SECOND,
        shownAt,
        carriedCallsPerSecond: carried,
        callsPerSecond: rates,
        systems: Object.fromEntries(Object.entries(passes).map(([name, pass]) => [name, figuresOf(pass)])),
        health,
        starved,
      },
      bars: [
        atLeast("calls per second that the machine carries", carried.tierwise ?? 0, LEAST_RATE),
        atLeast(`answered rightly within the deadline, share, ${shownAt}`, figures.answeredShare, 0.999),
        atMost(`calls at the provider for each call, ${shownAt}`, figures.upstreamRatio, 1.1),
        atMost("openings with more than one probe, all processes", health.openingsWithMore, 0),
        atMost("probes that nobody had claimed", health.unclaimed, 0),
        // A pass without these would prove nothing.
        atLeast("openings with a probe", health.probedOpenings, Math.floor(10 * scale)),
        atMost(
          "calls sent to the dead one later than 1 s after its death, but for probes",
          health.waitedOnTheDead,
          0,
        ),
        atMost("calls at the dead one that no process let in", health.unaccountedAtTheDead, 0),
        ...others.map(([name, pass]) =>
          atLeast(
            `answered share, minus that of ${name}`,
            figures.answeredShare - figuresOf(pass).answeredShare,
            0,
          ),
        ),
      ],
    }
  },
}

/** Where a machine does not carry the rate that is wanted, the bars say nothing of that rate. */
function rateShown(rate: number): string {
  if (rate >= MOST_CALLS_PER_SECOND) return `at ${rate} calls/s`
  return `at ${rate} calls/s, not shown at ${MOST_CALLS_PER_SECOND}`
}

function secondsFrom(text: string | undefined): number {
  if (text === undefined || text === "") return PASS_SECONDS
  const seconds = Number(text)
  if (seconds >= 6) return seconds
  throw new Error(`TIERWISE_CHAOS_SECONDS is ${text}: give seconds, 6 or more`)
}

/** The highest rate at which calls begin in time and are all answered while nothing is wrong. 0: none of those tried. */
async function carriedRate(
  system: SystemName,
  play: (rate: number, scale: number) => Promise<Pass>,
  progress: (line: string) => void,
): Promise<number> {
  for (let time = 0; time < WARM_UPS; time++) await play(WARM_UP_RATE, 0)
  for (const rate of TRIED_RATES) {
    const { answeredShare, begunLateP99Ms, p99Ms, upstreamRatio, cpuMsPerCall } = figuresOf(
      await play(rate, 0),
    )
    const told = { answeredShare, begunLateP99Ms, p99Ms, upstreamRatio, cpuMsPerCall }
    progress(`${system}, all well, ${rate} calls/s: ${JSON.stringify(told)}`)
    if (answeredShare >= 0.999 && begunLateP99Ms <= MOST_LATE_MS && p99Ms <= MOST_CARRIED_MS) return rate
  }
  return 0
}

interface Played {
  readonly pass: Pass
  readonly rate: number
  /** Of two passes the first one, which is not judged. */
  readonly starved: Pass | undefined
}

/**
 * A pass whose calls the machine could not even begin in time says little of who made them: it is played once more, at the
 * next lower rate. Both are in the figures.
 */
async function playCarried(
  system: SystemName,
  rate: number,
  play: (rate: number) => Promise<Pass>,
  progress: (line: string) => void,
): Promise<Played> {
  const told = async (at: number) => {
    progress(`${system}: ${at} calls/s`)
    const pass = await play(at)
    progress(`  ${JSON.stringify(figuresOf(pass))}`)
    return pass
  }
  const pass = await told(rate)
  const lower = TRIED_RATES[TRIED_RATES.indexOf(rate) + 1]
  if (figuresOf(pass).begunLateP99Ms <= MOST_LATE_MS || lower === undefined) {
    return { pass, rate, starved: undefined }
  }
  progress(`${system}: the machine had no time for its callers`)
  return { pass: await told(lower), rate: lower, starved: pass }
}

interface PassOptions {
  readonly crew: Crew
  readonly system: SystemName
  readonly redisUrl: string
  /** Calls per second altogether. */
  readonly rate: number
  /** Share of the full time. 0: a trial in which nothing goes wrong. */
  readonly scale: number
  readonly progress: (line: string) => void
}

async function playPass({ crew, system, redisUrl, rate, scale, progress }: PassOptions): Promise<Pass> {
  // A new one each time: its bill is that of the pass.
  await using provider = await startSimulatorProcess({ models: MODELS, timeScale: 1 })
  const startAt = Date.now() + START_MS
  const name = randomUUID()
  const orderOf = (worker: number) => ({
    system,
    worker,
    name,
    redisUrl,
    baseUrl: provider.baseUrl,
    callers: CALLERS / crew.size,
    everyMs: (CALLERS / rate) * 1_000,
    startAt,
    seconds: scale === 0 ? TRIAL_SECONDS : PASS_SECONDS * scale,
  })
  const nothing: PhaseTimes = []
  const [reports, phases] = await Promise.all([
    crew.all(orderOf),
    scale === 0 ? nothing : playPhases(provider, { startAt, scale }, progress),
  ])
  await provider.heal()
  return { reports, phases, lines: await provider.invoices() }
}
