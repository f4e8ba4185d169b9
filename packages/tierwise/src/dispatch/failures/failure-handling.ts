import type { FailureKind } from "../spec/dispatch.ts"
import { cameInsideAnAnswer } from "./classify-failure.ts"

export interface FailureHandling {
  /** `backoff`: try the same candidate again after a pause. `if-last`: only when nobody else is left to ask. */
  readonly retry: "backoff" | "if-last" | "never"
  /** False: the error is the caller's to see and is rethrown as it is. */
  readonly fallback: boolean
  /** True if the provider may bill the try although no answer came back; see `mayBeBilled` for one that did begin. */
  readonly mayBeBilled: boolean
}

const stopHere: FailureHandling = { retry: "never", fallback: false, mayBeBilled: false }
const nextPlease: FailureHandling = { retry: "never", fallback: true, mayBeBilled: false }
const tryAgain: FailureHandling = { retry: "backoff", fallback: true, mayBeBilled: false }

/** A provider's failure is expected: what follows is looked up, not argued in code. */
export const FAILURE_HANDLING: Readonly<Record<FailureKind, FailureHandling>> = {
  "rate-limited": { ...nextPlease, retry: "if-last" },
  "quota-exhausted": nextPlease,
  overloaded: tryAgain,
  "server-error": tryAgain,
  network: tryAgain,
  timeout: { ...nextPlease, mayBeBilled: true },
  truncated: { ...nextPlease, mayBeBilled: true },
  unknown: nextPlease,
  "context-overflow": nextPlease,
  authentication: nextPlease,
  "not-found": nextPlease,
  // Azure bills what it refuses.
  "content-filtered": { ...nextPlease, mayBeBilled: true },
  unparseable: { ...stopHere, mayBeBilled: true },
  "invalid-request": stopHere,
  aborted: { ...stopHere, mayBeBilled: true },
  "control-flow": stopHere,
  defect: stopHere,
}

/** Whether the provider may bill a try that ended with this error: by its kind, or because it was taken before it failed. */
export function mayBeBilled(failure: FailureKind, error: unknown): boolean {
  return FAILURE_HANDLING[failure].mayBeBilled || cameInsideAnAnswer(error)
}
