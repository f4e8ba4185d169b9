import type { Refusal } from "../spec/budget.ts"
import type { Attempt, FailureKind, Unavailable } from "../spec/dispatch.ts"
import type { Amount, NanoUsd } from "../spec/money.ts"
import type { Tier } from "../spec/request.ts"
import type { Usage } from "../spec/usage.ts"
import type { FailureTable } from "./failures/failure-handling.ts"
import type { Hedging } from "./hedge.ts"
import type { Pause } from "./pause.ts"
import type { Relay } from "./relay.ts"
import type { RetryBudget } from "./retry-budget.ts"

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

/** How a try ended. `unsent`: nothing left this process, so nothing is known of the other side. */
export type TryEnding =
  | {
      readonly ended: "answered"
      readonly usage: Usage | undefined
      /** Until its first piece, ms. */
      readonly firstPieceMs: number
    }
  | {
      readonly ended: "failed"
      readonly failure: FailureKind
      readonly error: unknown
      /** False: it was cut off by a deadline that was not long enough to blame it for. */
      readonly isItsOwn: boolean
    }
  | { readonly ended: "unsent" }

/** Leave to make one try. */
export interface Pass {
  /** Said once, on every way out. */
  ended(how: TryEnding): void
}

export type Admission = { readonly admitted: true; readonly pass: Pass } | NotAdmitted

export interface NotAdmitted {
  readonly admitted: false
  readonly because: Unavailable
  /** Epoch ms, from when on it may be asked again; undefined: nobody knows. */
  readonly until: number | undefined
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
   * what its pieces throw comes from the other side. `holdId` names the money that is held for it. `heard` is told of what
   * comes of the answer beside its pieces, such as words that handlers are shown: it has not stalled.
   */
  readonly call: (
    candidate: C,
    signal: AbortSignal | undefined,
    holdId: string | undefined,
    heard: () => void,
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
  /**
   * True for the piece that shows that an answer is whole, such as one with a finish reason. An answer that ends without one
   * was cut off. Default: whatever ends is whole.
   */
  readonly finishes?: ((candidate: C, piece: P) => boolean) | undefined
  /** True if the other side is a provider's package, whose odd errors are the provider's and not defects of ours. */
  readonly isProvider?: ((candidate: C) => boolean) | undefined
  /**
   * Whether a candidate may be called now. `isRetry`: it is tried again after a pause, whatever it asked of others. Default:
   * always.
   */
  readonly admit?: ((candidate: C, isRetry: boolean) => Admission | Promise<Admission>) | undefined
  /** Where it waits for who is saturated. Default: nowhere. */
  readonly line?: PlaceToWait | undefined
  /** Epoch ms, when one that has failed may be called again; undefined: it may be now. Default: it may. */
  readonly backAt?: ((candidate: C) => number | undefined) | undefined
  /** When a second candidate is asked beside one that takes long. Default: never. */
  readonly hedge?: Hedging<C> | undefined
  /** Tokens of its context window, for requests that another one refused as too long. Default: larger than any. */
  readonly contextOf?: ((candidate: C) => number) | undefined
  readonly hold?: ((candidate: C) => Promise<HoldOutcome>) | undefined
  /**
   * True for a candidate that stands in for others when they fail, and when one was refused only if `whenRefused` says so.
   * Those are asked last. Default: none does.
   */
  readonly isWeaker?: ((candidate: C) => boolean) | undefined
  /** Asked with the cheapest refusal before a weaker candidate is, or the call ends. Default: `block`. */
  readonly whenRefused?: ((refused: Refused) => Promise<AfterRefusal>) | undefined
  readonly meter?: ((candidate: C) => Meter<P>) | undefined
  /** The caller's signal, which fires at the deadline too. */
  readonly signal?: AbortSignal | undefined
  /** When all of it has to be done. Undefined: whenever it is. */
  readonly deadline?: Deadline | undefined
  readonly settings: DispatchSettings
  readonly onStart?: ((candidate: C) => void) | undefined
  readonly onAttempt?: ((attempt: Attempt) => void) | undefined
}

export interface PlaceToWait {
  /** Until there may be room again, `until` at the latest (epoch ms; undefined: when a call ends). */
  wait(until: number | undefined, signal: AbortSignal | undefined): Promise<"turn" | "timeout" | "full">
  /** The request is over. */
  leave(): void
}

/** Until when the whole request may take, with all its attempts. */
export interface Deadline {
  /** Epoch ms. */
  readonly at: number
  /**
   * Whoever has not begun to answer after so long is to blame for that, ms. Undefined: the deadline is the caller's own haste.
   */
  readonly fairMs: number | undefined
  isOver(): boolean
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
  /** Between two pieces of an answer that has begun, ms; undefined: no limit of ours. */
  readonly stallTimeoutMs: number | undefined
  /** Shared by all requests: however much fails, retries are a small share of the calls. */
  readonly retryBudget: RetryBudget
  /** What follows each kind of failure. */
  readonly handling: FailureTable
  readonly now: () => number
  readonly random: () => number
  readonly pause: Pause
}
