import type { BreakerCall, HealthEntry } from "../spec/health.ts"
import type { Usage } from "../spec/usage.ts"
import type { CallInFlight, LatencyStats } from "./balance/latency-stats.ts"
import type { Admission, Pass, TryEnding } from "./dispatch-options.ts"
import { coolDownMs, type FailureTable } from "./failures/failure-handling.ts"
import type { FirstPieceTimes } from "./first-piece-times.ts"
import type { HealthBook } from "./health/health-book.ts"
import type { ResponseHeaders } from "./limits/learnt-limits.ts"
import type { Slot, TrafficLimits } from "./limits/rate-limit.ts"

export interface GatekeeperOptions {
  readonly health: HealthBook
  /** What follows each kind of failure. */
  readonly handling: FailureTable
  /** By key; who is not in it has no limits, and learns none. */
  readonly limits: ReadonlyMap<string, TrafficLimits>
  /** Undefined: nobody asks how fast somebody is. */
  readonly stats: LatencyStats | undefined
  /** Undefined: nobody asks how long answers take to begin. */
  readonly times?: FirstPieceTimes | undefined
  /** Epoch ms. */
  readonly now: () => number
  /** A call of this key is over: perhaps somebody who waits has room now. */
  readonly onEnded?: ((key: string) => void) | undefined
}

/** Lets nobody call whom it would be in vain to call now, and learns from how each call ends. */
export interface Gatekeeper {
  /**
   * @param key A deployment.
   * @param tokens The most that the call may use.
   * @param isRetry It asked for a pause, which has been waited.
   */
  admit(key: string, tokens: number, isRetry: boolean): Admission | Promise<Admission>
}

export function gatekeeper(options: GatekeeperOptions): Gatekeeper {
  const { health, handling, limits, stats, times, now, onEnded } = options

  function admitTo(key: string, tokens: number, entry: HealthEntry): Admission {
    if (!entry.allowed) return { admitted: false, because: entry.because, until: entry.until }
    const limit = limits.get(key)
    const room = limit?.enter(tokens)
    if (room?.allowed === false) {
      entry.call.ended("neither")
      return { admitted: false, because: "saturated", until: room.until }
    }
    return { admitted: true, pass: passFor(key, entry.call, room?.slot, limit) }
  }

  function passFor(
    key: string,
    call: BreakerCall,
    slot: Slot | undefined,
    limit: TrafficLimits | undefined,
  ): Pass {
    const flight = stats?.began(key)
    const beganAt = flight === undefined ? 0 : now()
    return {
      ended(how) {
        if (how.ended === "failed") {
          const { failure, error } = how
          const ms = coolDownMs(failure, error, now(), handling)
          if (ms !== undefined) health.cool(key, now() + ms, failure)
          const headers = headersOf(error)
          if (headers !== undefined) limit?.learn(headers)
        }
        if (how.ended === "answered") times?.saw(key, how.firstPieceMs)
        call.ended(endingOf(how, handling))
        slot?.ended(how.ended === "unsent" ? 0 : how.ended === "answered" ? tokensOf(how.usage) : undefined)
        if (flight !== undefined) tell(flight, how, handling, now() - beganAt)
        onEnded?.(key)
      },
    }
  }

  return {
    admit(key, tokens, isRetry) {
      const entry = health.enter(key, isRetry)
      return entry instanceof Promise
        ? entry.then((known) => admitTo(key, tokens, known))
        : admitTo(key, tokens, entry)
    },
  }
}

/** What a try says of its target. What was wrong with the call, or ended by its caller, says nothing. */
function endingOf(how: TryEnding, handling: FailureTable): "well" | "badly" | "neither" {
  if (how.ended === "answered") return "well"
  return how.ended === "failed" && handling[how.failure].tripsBreaker ? "badly" : "neither"
}

function tell(flight: CallInFlight, how: TryEnding, handling: FailureTable, ms: number): void {
  if (endingOf(how, handling) === "badly") flight.failed(ms)
  else flight.ended(how.ended === "answered" ? how.firstPieceMs : undefined)
}

function tokensOf(usage: Usage | undefined): number | undefined {
  return usage === undefined ? undefined : usage.inputTokens + usage.outputTokens
}

function headersOf(error: unknown): ResponseHeaders | undefined {
  if (typeof error !== "object" || error === null) return undefined
  const { headers } = error as { headers?: unknown }
  return typeof headers === "object" && headers !== null ? (headers as ResponseHeaders) : undefined
}
