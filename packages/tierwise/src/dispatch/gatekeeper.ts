import type { Unavailable } from "../spec/dispatch.ts"
import type { BreakerCall, HealthEntry } from "../spec/health.ts"
import type { Usage } from "../spec/usage.ts"
import type { CallInFlight, LatencyStats } from "./balance/latency-stats.ts"
import type { Admission, Pass, TryEnding } from "./dispatch-options.ts"
import { coolDownMs, type FailureTable } from "./failures/failure-handling.ts"
import type { FirstPieceTimes } from "./first-piece-times.ts"
import type { HealthBook } from "./health/health-book.ts"
import type { ResponseHeaders } from "./limits/learnt-limits.ts"
import type { LimitReached, Slot, TrafficLimits } from "./limits/rate-limit.ts"

type Refusal = Extract<HealthEntry, { readonly allowed: false }>

/** When somebody is found out about, ms. */
export const LOOK_AGAIN_MS = 250

export interface GatekeeperOptions {
  readonly health: HealthBook
  /** Under which name the health book has a key's target. Default: the key. */
  readonly healthKeyOf?: ((key: string) => string) | undefined
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
  const { health, handling, limits, stats, times, now, onEnded, healthKeyOf = (key) => key } = options

  function admitTo(key: string, healthKey: string, tokens: number, entry: HealthEntry): Admission {
    if (!entry.allowed) return { admitted: false, because: entry.because, until: backAt(entry, healthKey) }
    const limit = limits.get(key)
    const room = limit?.enter(tokens)
    if (room?.allowed === false) {
      entry.call.ended("neither")
      return { admitted: false, because: BECAUSE_OF[room.because], until: room.until }
    }
    return { admitted: true, pass: passFor(key, healthKey, entry.call, room?.slot, limit) }
  }

  /** Of a probe that is under way nobody knows when it ends; when its time is up is the latest. */
  function backAt({ because, until }: Refusal, healthKey: string): number {
    const isProbed = because === "circuit-open" && health.breakerOf(healthKey).state() === "half-open"
    return isProbed ? Math.min(until, now() + LOOK_AGAIN_MS) : until
  }

  function passFor(
    key: string,
    healthKey: string,
    call: BreakerCall,
    slot: Slot | undefined,
    limit: TrafficLimits | undefined,
  ): Pass {
    const flight = stats?.began(key)
    const beganAt = flight === undefined ? 0 : now()
    const learnFrom = ({ failure, error }: Extract<TryEnding, { readonly ended: "failed" }>) => {
      const ms = coolDownMs(failure, error, now(), handling)
      if (ms !== undefined) health.cool(healthKey, now() + ms, failure)
      const headers = headersOf(error)
      if (headers !== undefined) limit?.learn(headers)
    }
    return {
      ended(how) {
        // First what others wait for: nothing that an error is made of may keep it from them.
        slot?.ended(
          how.ended === "answered" ? tokensOf(how.usage) : how.ended === "unsent" ? "unsent" : undefined,
        )
        call.ended(endingOf(how, handling))
        if (flight !== undefined) tell(flight, how, handling, now() - beganAt)
        if (how.ended === "answered") times?.saw(key, how.firstPieceMs)
        try {
          if (how.ended === "failed") learnFrom(how)
        } finally {
          onEnded?.(key)
        }
      },
    }
  }

  return {
    admit(key, tokens, isRetry) {
      const healthKey = healthKeyOf(key)
      const entry = health.enter(healthKey, isRetry)
      return entry instanceof Promise
        ? entry.then((known) => admitTo(key, healthKey, tokens, known))
        : admitTo(key, healthKey, tokens, entry)
    },
  }
}

/** A provider that has said that nothing is left has asked for a pause. */
const BECAUSE_OF: Readonly<Record<LimitReached, Unavailable>> = {
  requests: "saturated",
  tokens: "saturated",
  concurrency: "saturated",
  saturated: "cooling-down",
  "too-large": "too-large",
}

/** What a try says of its target. What was wrong with the call, or ended by its caller, says nothing. */
function endingOf(how: TryEnding, handling: FailureTable): "well" | "badly" | "neither" {
  if (how.ended === "answered") return "well"
  return how.ended === "failed" && how.isItsOwn && handling[how.failure].tripsBreaker ? "badly" : "neither"
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
