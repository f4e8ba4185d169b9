/** Whether a target is called: yes; no, until a time; or by one caller, the probe, who finds out. */
export type BreakerState = "closed" | "open" | "half-open"

/**
 * How a call ended. `neither` says nothing of the target: the caller aborted it, or it was wrong and would be refused by a
 * target in the best of health.
 */
export type CallEnding = "well" | "badly" | "neither"

/** A call that a breaker let through. */
export interface BreakerCall {
  /** True: how it ends decides whether the circuit closes. */
  readonly isProbe: boolean
  /** Said once, on every way out; what is said later changes nothing. */
  ended(how: CallEnding): void
}

/** `told`: another process found out. */
export type BreakerChangeReason = "tripped" | "probe-sent" | "probe-answered" | "probe-failed" | "told"

/** A breaker went from one state to another. Of one key, each begins where the one before it ended. */
export interface BreakerChange {
  readonly key: string
  readonly from: BreakerState
  readonly to: BreakerState
  readonly because: BreakerChangeReason
  /** Epoch ms. */
  readonly at: number
}

/** Whether a target may be called now. */
export type HealthEntry =
  | { readonly allowed: true; readonly call: BreakerCall }
  | {
      readonly allowed: false
      readonly because: "circuit-open" | "cooling-down"
      /** Epoch ms. Asking earlier is in vain, unless a probe that is under way answers before its lease ends. */
      readonly until: number
    }

/** One target on a health page. Plain JSON. */
export interface HealthReport {
  readonly breaker: BreakerState
  /** Epoch ms, until when it is not called; undefined: the circuit is closed, or waits for a probe. */
  readonly until?: number | undefined
  /** Epoch ms; undefined: it does not cool down. */
  readonly coolingUntil?: number | undefined
  /** Why it cools down. */
  readonly because?: string | undefined
}

/** A circuit as all processes know it. Durations, not times: clocks of processes differ. */
export interface SharedCircuit {
  readonly key: string
  /** Grows with each change of any key. */
  readonly version: number
  readonly state: "open" | "closed"
  /** For how long nobody is called, ms. 0: a probe may be sent. */
  readonly openForMs: number
  /** Probes in a row that ended badly. */
  readonly failedProbes: number
  /** For how long the place of the probe is taken at most, ms. 0: it is free. */
  readonly probeForMs: number
  /** The probe that had its place, or told how it ended, last. Empty: none since the opening. */
  readonly probe: string
}

/** A pause that a target asked for. */
export interface SharedCooldown {
  readonly key: string
  readonly version: number
  /** ms. 0: it is over, or was called off. */
  readonly forMs: number
  /** Somebody ended it for all, before its time. One that is merely over says nothing of what others found out since. */
  readonly isCalledOff: boolean
  readonly because: string
}

/** What came of a step. */
export interface SharedStep {
  /** False: it rested on less than the store knows, or somebody was faster. */
  readonly done: boolean
  /** As it is now. */
  readonly circuit: SharedCircuit
}

/** What changed after a version. */
export interface HealthChanges {
  /** Ask for what changed after this one next time. */
  readonly version: number
  readonly circuits: readonly SharedCircuit[]
  readonly cooldowns: readonly SharedCooldown[]
}

/** What a step rests on. */
interface Knowing {
  /** The latest version that this process has seen. */
  readonly known: number
}

export interface Trip extends Knowing {
  /** ms, > 0. */
  readonly openForMs: number
}

export interface ProbeWish extends Knowing {
  /** Names the probe: no two have the same. */
  readonly probe: string
  /** After how long without an end its place is free again, ms, > 0. */
  readonly leaseMs: number
  /** As this process counts them; for a store that knows nothing of the circuit. */
  readonly failedProbes: number
}

export interface ProbeEnd extends Knowing {
  readonly probe: string
  readonly how: CallEnding
  /** For how long it opens after one that ended badly, ms. 0: that is over already. */
  readonly openForMs: number
  /** Together with this one. */
  readonly failedProbes: number
}

/**
 * What several processes know together of the targets they call. Every method rejects, in good time, while the store is
 * away; the processes then go on with what each knows by itself. A step that was done though its answer was lost does no
 * harm. `healthStoreContract` of `tierwise/testing` checks a store.
 *
 * A step that rests on less than the store knows is not done: the answer says what is true, and the process takes it over.
 */
export interface HealthStore {
  /** For messages, e.g. `redis:tierwise`. */
  readonly name: string
  /** This process has opened the circuit. Of several that do so at once the first one's time counts. */
  tripped(key: string, trip: Trip): Promise<SharedStep>
  /** Asks for the place of the probe: at any time one process has it. A circuit that nobody knows here is taken to be open, as the asking process says. */
  claimProbe(key: string, wish: ProbeWish): Promise<SharedStep>
  /**
   * Also of a probe that was sent without a claim, while the store was away. It counts unless somebody has found out since,
   * or another probe is under way. Told again because the answer was lost, it counts again.
   */
  probeEnded(key: string, end: ProbeEnd): Promise<SharedStep>
  /** The longest pause wins. The answer is the one that counts. */
  cool(key: string, forMs: number, because: string): Promise<SharedCooldown>
  /** Calls off a pause that is not over; otherwise nothing changes. */
  warm(key: string): Promise<SharedCooldown>
  /** @param version 0: all that is known. */
  changesSince(version: number): Promise<HealthChanges>
}
