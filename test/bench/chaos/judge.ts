import type { InvoiceLine } from "@tierwise/simulator"
import { quantile } from "simple-statistics"
import { rounded } from "../bench.ts"
import { DEPLOYMENTS, PHASES, type PhaseTimes } from "./schedule.ts"
import type { HealthStep } from "./watched-health.ts"
import type { CallSeen, Report } from "./worker.ts"

/** Both sides of one pass. */
export interface Pass {
  readonly reports: readonly Report[]
  readonly lines: readonly InvoiceLine[]
  /** Empty: nothing went wrong. */
  readonly phases: PhaseTimes
}

/** How its callers fared. */
export interface PassFigures extends Fared {
  readonly outcomes: Readonly<Record<string, number>>
  readonly longestMs: number
  /** Calls at the provider, for each call of a caller. */
  readonly upstreamRatio: number
  readonly upstream: Readonly<Record<string, number>>
  readonly phases: Readonly<Record<string, Fared>>
  /** What the machine did to them. */
  readonly loopDelayP99Ms: number
  readonly cpuMsPerCall: number
}

export interface Fared {
  readonly calls: number
  readonly answeredShare: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** How much later than they should calls were begun: where that is much, the machine had no time for them. */
  readonly begunLateP99Ms: number
}

export function figuresOf({ reports, lines, phases }: Pass): PassFigures {
  const calls = reports.flatMap((report) => report.calls)
  const upstream = Object.fromEntries(
    DEPLOYMENTS.map((id) => [id, lines.filter(({ model }) => model === id).length]),
  )
  return {
    ...fared(calls),
    outcomes: countsOf(calls.map(({ outcome }) => outcome)),
    longestMs: rounded(Math.max(...calls.map(({ ms }) => ms))),
    upstreamRatio: lines.length / calls.length,
    upstream,
    phases: Object.fromEntries(
      phases.map((from, index) => {
        const to = phases[index + 1] ?? Number.POSITIVE_INFINITY
        // The first call may have begun before the first phase was told.
        const during = calls.filter(({ at }) => (index === 0 || at >= from) && at < to)
        return [PHASES[index]?.name ?? "", fared(during)]
      }),
    ),
    loopDelayP99Ms: rounded(Math.max(...reports.map(({ loopDelayMs }) => loopDelayMs))),
    cpuMsPerCall: rounded(reports.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / reports.length),
  }
}

function fared(calls: readonly CallSeen[]): Fared {
  const times = calls.map(({ ms }) => ms)
  return {
    calls: calls.length,
    answeredShare: calls.filter(({ outcome }) => outcome === "right").length / calls.length,
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    begunLateP99Ms: percentile(
      calls.map(({ lateMs }) => lateMs),
      0.99,
    ),
  }
}

/** What the processes found out together. */
export interface HealthFigures {
  readonly openings: number
  /** Openings after which somebody was let in. */
  readonly probedOpenings: number
  readonly probes: number
  /** Probed openings with more than one probe. A probe whose caller left is followed by another one, and not counted. */
  readonly openingsWithMore: number
  /** Probes that no process had claimed. */
  readonly unclaimed: number
  /** Calls that the dead one was sent later than a second after its death, probes not among them. */
  readonly waitedOnTheDead: number
  /** The last of them, ms after the death. */
  readonly lastWaitedMs: number | undefined
  readonly deadProbes: number
  /** Calls that the provider saw of it, beyond those that the processes know of. */
  readonly unaccountedAtTheDead: number
  readonly byDeployment: Readonly<Record<string, { readonly openings: number; readonly probes: number }>>
  readonly problems: readonly string[]
}

const AFTER_DEATH_MS = 1_000

export function healthOf({ reports, lines, phases }: Pass): HealthFigures {
  const steps = reports
    .flatMap(({ health }) => health.steps)
    .toSorted((one, other) => one.version - other.version)
  const entries = reports.flatMap(({ health }) => health.entries)
  const diedAt = phases[1] ?? Number.POSITIVE_INFINITY
  const billed = lines.filter(({ model }) => model === "dies").length
  const known = entries.filter(({ key }) => key === "dies").length
  const toTheDead = entries.filter(({ key, at }) => key === "dies" && at > diedAt)
  const calls = toTheDead.filter(({ isProbe }) => !isProbe).map(({ at }) => at - diedAt)
  const counts = [...Map.groupBy(steps, ({ key }) => key)].map(([key, own]) => [key, probesOf(own)] as const)
  const sum = (pick: (one: Probes) => number) => counts.reduce((total, [, one]) => total + pick(one), 0)
  const sent = entries.filter(({ isProbe }) => isProbe).length
  return {
    openings: sum(({ openings }) => openings),
    probedOpenings: sum(({ probed }) => probed),
    probes: sent,
    openingsWithMore: sum(({ withMore }) => withMore),
    unclaimed: Math.abs(sent - sum(({ probes }) => probes)),
    waitedOnTheDead: calls.filter((ms) => ms > AFTER_DEATH_MS).length,
    lastWaitedMs: calls.length === 0 ? undefined : Math.max(...calls),
    deadProbes: toTheDead.filter(({ isProbe }) => isProbe).length,
    unaccountedAtTheDead: Math.max(0, billed - known),
    byDeployment: Object.fromEntries(
      counts.map(([key, { openings, probes }]) => [key, { openings, probes }]),
    ),
    problems: reports.flatMap(({ health }) => health.problems),
  }
}

interface Probes {
  readonly openings: number
  readonly probes: number
  readonly probed: number
  readonly withMore: number
}

/** @param steps Of one deployment, in order. */
function probesOf(steps: readonly HealthStep[]): Probes {
  const perOpening: number[] = []
  let probes = 0
  for (const { did } of steps) {
    const last = perOpening.length - 1
    if (did === "opened") perOpening.push(0)
    if (did === "sent-probe") {
      probes++
      perOpening[last] = (perOpening[last] ?? 0) + 1
    }
    if (did === "left-probe") perOpening[last] = (perOpening[last] ?? 1) - 1
  }
  return {
    openings: perOpening.length,
    probes,
    probed: perOpening.filter((count) => count > 0).length,
    withMore: perOpening.filter((count) => count > 1).length,
  }
}

function countsOf(names: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]))
}

function percentile(values: readonly number[], share: number): number {
  return values.length === 0 ? 0 : rounded(quantile([...values], share))
}
