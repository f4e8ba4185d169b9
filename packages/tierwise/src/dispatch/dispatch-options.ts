import type { Refusal } from "../spec/budget.ts"
import type { Attempt } from "../spec/dispatch.ts"
import type { Amount, NanoUsd } from "../spec/money.ts"
import type { Tier } from "../spec/request.ts"
import type { Usage } from "../spec/usage.ts"
import type { Pause } from "./pause.ts"
import type { Relay } from "./relay.ts"

/** What can be called. */
export interface DispatchCandidate {
  readonly deploymentId: string
  readonly tier: Tier
}

/** Counts what one try produced, piece by piece, so that a stream that breaks is not free. Never throws. */
export interface Meter<P> {
  see(piece: P): void
  /** Usage and cost of the try. `mayBeBilled`: the call reached the provider and died without a report. */
  read(ended: "answered" | "failed", mayBeBilled: boolean): { usage: Usage | undefined; cost: NanoUsd }
}

/** Money held for one candidate. Closed exactly once, on every way out. */
export interface Hold {
  /** In its ledger; undefined: nothing is held. */
  readonly id: string | undefined
  /** Keeps it from expiring for as long as the call goes on. Returns what ends that. */
  keep(goesOn: () => boolean): () => void
  settle(actual: { usage: Usage | undefined; cost: NanoUsd }): Promise<void>
  release(): Promise<void>
}

export type HoldOutcome =
  | { readonly granted: true; readonly hold: Hold }
  | ({ readonly granted: false } & Refused)

/** A hold that was not granted. */
export interface Refused {
  readonly refusal: Refusal
  readonly quote: Amount
}

/**
 * What follows when nobody has answered and somebody who should was refused: the call ends; those who are weaker are asked;
 * or the refused are asked again, because something has changed.
 */
export type AfterRefusal = "block" | "downgrade" | "ask-again"

export interface DispatchOptions<C extends DispatchCandidate, P> {
  /** In the order in which they are asked. */
  readonly candidates: readonly C[]
  /**
   * One try; a plain call has one piece. What it throws at once, before it returns, is our own or the caller's doing;
   * what its pieces throw comes from the other side. `holdId` names the money that is held for it.
   */
  readonly call: (
    candidate: C,
    signal: AbortSignal | undefined,
    holdId: string | undefined,
  ) => AsyncIterable<P>
  /** True for a piece that the reader has something of: the commit point. Default: any piece. */
  readonly opens?: ((piece: P) => boolean) | undefined
  /**
   * True for a candidate whose pieces are held back until its answer is whole: it never commits before, so that a failure
   * in its middle still falls back.
   */
  readonly holdsBack?: ((candidate: C) => boolean) | undefined
  /**
   * After the piece that opens an answer its rest is one more piece, which the reader takes from there. Default: every
   * piece is yielded. Pieces that are held back are never handed over.
   */
  readonly handOver?:
    | {
        readonly pieceOf: (rest: Relay<P>) => P
        /** What pieces add up to; at least one is given. */
        readonly join: (pieces: readonly P[]) => P
      }
    | undefined
  /** True if the other side is a provider's package, whose odd errors are the provider's and not defects of ours. */
  readonly isProvider?: ((candidate: C) => boolean) | undefined
  readonly hold?: ((candidate: C) => Promise<HoldOutcome>) | undefined
  /**
   * True for a candidate that stands in for others when they fail, and when one was refused only if `whenRefused` says so.
   * Those are asked last. Default: none does.
   */
  readonly isWeaker?: ((candidate: C) => boolean) | undefined
  /** Asked with the cheapest refusal before a weaker candidate is, or the call ends. Default: `block`. */
  readonly whenRefused?: ((refused: Refused) => Promise<AfterRefusal>) | undefined
  readonly meter?: ((candidate: C) => Meter<P>) | undefined
  /** The caller's signal. */
  readonly signal?: AbortSignal | undefined
  readonly settings: DispatchSettings
  readonly onStart?: ((candidate: C) => void) | undefined
  readonly onAttempt?: ((attempt: Attempt) => void) | undefined
}

export interface DispatchSettings {
  /** Candidates tried after the first one failed. */
  readonly maxFallbackAttempts: number
  /** Tries at the same candidate after the first one failed in a way that a pause may heal. */
  readonly maxRetries: number
  /** First pause, ms; it doubles with each retry, and a random share of it is waited (full jitter). */
  readonly retryBaseMs: number
  /** Until the piece that opens the answer, ms; undefined: no limit of ours. */
  readonly attemptTimeoutMs: number | undefined
  readonly now: () => number
  readonly random: () => number
  readonly pause: Pause
}
