import { ConfigError } from "../../spec/errors.ts"

/** What is known of one target at a time. */
export interface TargetStats {
  /** Calls that have begun and not ended. */
  readonly inFlight: number
  /**
   * How long an answer takes, ms, at least 1: it rises to a slower one at once, and falls slowly. Undefined: nobody answered
   * there yet, or too long ago to tell.
   */
  readonly ewmaLatencyMs: number | undefined
}

/** A call that has begun. Of `ended` and `failed` only the first call counts; neither throws. */
export interface CallInFlight {
  /**
   * @param ms How long the answer took, always measured alike: best until its first piece, so that a long answer does not
   * count as a slow one. Undefined, or no number of ms: nothing is learnt, as when the caller aborted.
   */
  ended(ms?: number): void
  /** @param ms How long that took. It counts as slow, however soon it failed. */
  failed(ms: number): void
}

export interface LatencyStats {
  of(id: string, at?: number): TargetStats
  began(id: string): CallInFlight
}

export interface LatencyStatsOptions {
  /** Epoch ms. A clock that goes back stands still. */
  readonly now: () => number
  /**
   * In this time, ms, what was measured loses 63 % of its weight, above 0. Default 60,000: six times Finagle's, since calls of
   * a model take seconds.
   */
  readonly decayMs?: number
  /** What a failure counts as, ms, if it did not take longer, above 0. Default 30,000. */
  readonly failureMs?: number
}

/** Below this weight a measurement is forgotten: after three times the decay. */
const LEAST_WEIGHT = Math.exp(-3)

interface Target {
  inFlight: number
  latencyMs: number | undefined
  measuredAt: number
}

/**
 * The peak EWMA of Finagle (finagle-core, loadbalancer/PeakEwma.scala, read 2026-11-21): an average weighted by age for
 * measurements at uneven times, `latency · w + measured · (1 - w)` with `w = e^(-age / decay)`, except that a measurement
 * above it replaces it. It also falls while nothing is measured, so that a target that was slow is tried again. Unlike there, a
 * target that has not been measured for three times the decay counts as never measured, so that one call tries it and not all
 * that come before the first answer.
 *
 * One entry for each id that was ever used.
 *
 * @throws ConfigError for an option that is not above 0.
 */
export function latencyStats({
  now,
  decayMs = 60_000,
  failureMs = 30_000,
}: LatencyStatsOptions): LatencyStats {
  check("decayMs", decayMs)
  check("failureMs", failureMs)
  const targets = new Map<string, Target>()

  function targetOf(id: string): Target {
    const known = targets.get(id)
    if (known !== undefined) return known
    const target: Target = { inFlight: 0, latencyMs: undefined, measuredAt: 0 }
    targets.set(id, target)
    return target
  }

  const weightOf = (target: Target, at: number) => Math.exp(-Math.max(0, at - target.measuredAt) / decayMs)

  function latencyOf(target: Target, at: number): number | undefined {
    if (target.latencyMs === undefined) return undefined
    const weight = weightOf(target, at)
    return weight < LEAST_WEIGHT ? undefined : Math.max(1, target.latencyMs * weight)
  }

  function measure(target: Target, ms: number, at: number): void {
    const known = latencyOf(target, at)
    const isPeak = known === undefined || ms > known
    target.latencyMs = isPeak ? Math.max(1, ms) : known + ms * (1 - weightOf(target, at))
    target.measuredAt = Math.max(at, target.measuredAt)
  }

  return {
    of(id, at = now()) {
      const target = targets.get(id)
      return target === undefined
        ? UNUSED
        : { inFlight: target.inFlight, ewmaLatencyMs: latencyOf(target, at) }
    },
    began(id) {
      const target = targetOf(id)
      target.inFlight++
      let isOpen = true
      const end = (ms: number | undefined) => {
        if (!isOpen) return
        isOpen = false
        target.inFlight--
        if (ms !== undefined && ms >= 0 && ms < Infinity) measure(target, ms, now())
      }
      return { ended: end, failed: (ms) => end(ms > failureMs ? ms : failureMs) }
    },
  }
}

const UNUSED: TargetStats = { inFlight: 0, ewmaLatencyMs: undefined }

function check(name: keyof LatencyStatsOptions, ms: number): void {
  if (ms > 0 && ms < Infinity) return
  throw new ConfigError(name, `${ms} is not above 0`, "give a number of ms above 0, or leave it out")
}
