import type { CallEnding, SharedCircuit, SharedCooldown } from "../../spec/health.ts"
import type { CircuitBreaker, ToldCircuit } from "./circuit-breaker.ts"
import { noSteps, type Steps } from "./store-line.ts"
import type { Lasting } from "./time-left.ts"

/** A target that this process knows, and what it has heard of it and has yet to tell. */
export interface SharedTarget {
  readonly breaker: CircuitBreaker
  readonly circuit: KnownCircuit
  readonly cooldown: KnownCooldown
}

export interface KnownCircuit {
  readonly steps: Steps
  /** The version seen last. 0: none. */
  known: number
  /** The latest news that came while steps were waiting: older than what they find, or newer. */
  news: CircuitNews | undefined
  /** The name of the probe that this process has under way, or asks leave for. */
  probe: string | undefined
  /** How its last probe ended, if the store does not know yet. */
  untold: UntoldEnd | undefined
  /** The last caller who could have been the probe did not get his answer in time. */
  wasLate: boolean
}

export interface CircuitNews {
  readonly circuit: SharedCircuit
  readonly told: ToldCircuit
}

export interface UntoldEnd {
  readonly probe: string
  readonly how: CallEnding
  /** What it opened for. */
  readonly opening: Lasting
  readonly failedProbes: number
}

export interface KnownCooldown {
  readonly steps: Steps
  /** The version seen last. 0: none. */
  known: number
  /** The latest news that came while steps were waiting. */
  news: { readonly pause: SharedCooldown; readonly until: number } | undefined
  /** Of what the store knows. */
  told: Lasting | undefined
  /** What this process found out, if the store does not know yet. */
  untold: UntoldCooldown | undefined
}

export type UntoldCooldown = { readonly pause: Lasting; readonly because: string } | "called-off"

export function sharedTarget(breaker: CircuitBreaker): SharedTarget {
  return {
    breaker,
    circuit: {
      steps: noSteps(),
      known: 0,
      news: undefined,
      probe: undefined,
      untold: undefined,
      wasLate: false,
    },
    cooldown: { steps: noSteps(), known: 0, news: undefined, told: undefined, untold: undefined },
  }
}
