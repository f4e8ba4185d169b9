import type { NanoUsd } from "./money.ts"
import type { Tier } from "./request.ts"
import type { Usage } from "./usage.ts"

/** Why a provider call did not answer. One classifier decides; a table says what follows. */
export type FailureKind =
  | "rate-limited"
  | "quota-exhausted"
  | "overloaded"
  | "server-error"
  | "network"
  | "timeout"
  | "truncated"
  | "context-overflow"
  | "authentication"
  | "not-found"
  | "content-filtered"
  | "unparseable"
  | "invalid-request"
  | "aborted"
  | "control-flow"
  | "defect"
  | "unknown"

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
    | { readonly outcome: "skipped"; readonly because: "unaffordable" }
  )
