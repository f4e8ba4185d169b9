import type { NanoUsd } from "./money.ts"
import type { Tier } from "./request.ts"
import type { Usage } from "./usage.ts"

/** Why a provider call did not answer. One classifier decides; a table says what follows. */
export type FailureKind =
  /** Too many requests or tokens for now: a 429. */
  | "rate-limited"
  /** The account is empty, or a day's or month's allowance is spent: waiting a minute will not help. */
  | "quota-exhausted"
  /** The provider has no capacity left, or is still loading the model: 503, 529. */
  | "overloaded"
  /** The provider broke: any other 5xx. */
  | "server-error"
  /** No connection was made: nothing can have been billed. */
  | "network"
  /** No answer began in time, by our clock, the package's or the provider's. */
  | "timeout"
  /** The request was sent, and the answer broke off or was garbled. */
  | "truncated"
  /** The conversation, or it and the answer, is too long for this model. */
  | "context-overflow"
  /** The key is wrong, may not, or may not from here: 401, 403. */
  | "authentication"
  /** The model, the deployment or the address is not there: 404. */
  | "not-found"
  /** A filter of the provider's refused the prompt or the answer. */
  | "content-filtered"
  /** There is an answer, and it breaks its schema. */
  | "unparseable"
  /** The request itself is wrong, and would be for anybody: any other 4xx. */
  | "invalid-request"
  /** The caller's signal ended it. */
  | "aborted"
  /** No failure: an interrupt that asks a person, or a command that moves a graph. */
  | "control-flow"
  /** A mistake in a program, ours or the caller's. */
  | "defect"
  /** It came out of the provider call, and nothing is known of its shape. */
  | "unknown"

/**
 * Why a candidate was not called.
 * - `unaffordable`: its budget refused.
 * - `cooling-down`: it asked for a pause, or its failure calls for one.
 * - `circuit-open`: it kept failing, and somebody else finds out when it is well.
 * - `saturated`: its limits are reached.
 * - `too-large`: the request asks for more tokens than its limit allows in any minute.
 * - `context-too-small`: another one with as large a context window has refused the request as too long.
 */
export type SkipReason = "unaffordable" | Unavailable | "context-too-small"

export type Unavailable = "cooling-down" | "circuit-open" | "saturated" | "too-large"

interface AttemptBase {
  readonly deploymentId: string
  readonly tier: Tier
  /** Epoch ms. */
  readonly startedAt: number
  readonly durationMs: number
  /** The hold's id in the ledger; undefined: nothing was held. Tries at one candidate share one hold. */
  readonly holdId?: string | undefined
}

/** One try at one candidate. Plain JSON. */
export type Attempt = AttemptBase &
  (
    | {
        readonly outcome: "answered"
        readonly usage: Usage
        readonly cost: NanoUsd
        /** Until the first piece of a stream; for `invoke` the same as `durationMs`. */
        readonly firstPieceMs: number
      }
    | {
        readonly outcome: "failed"
        readonly failure: FailureKind
        /** The error's message. */
        readonly error: string
        /** What the failed try cost: a stream that broke has been billed for what it sent. */
        readonly cost: NanoUsd
        readonly usage?: Usage | undefined
      }
    | { readonly outcome: "skipped"; readonly because: SkipReason }
  )
