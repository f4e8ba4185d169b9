/** How much a deployment may be asked. Whatever is left out is not limited. Each is a whole number of at least 1. */
export interface TrafficLimit {
  /** Calls that begin in any 60 s. */
  readonly requestsPerMinute?: number | undefined
  /** Tokens, input plus output, of the calls that begin in any 60 s. */
  readonly tokensPerMinute?: number | undefined
  /** Calls that run at the same time. */
  readonly concurrency?: number | undefined
}

/**
 * Who comes first among equals.
 * - `cheapest` (default): by price for the same work; equal prices by weight.
 * - `weighted`: by chance, in proportion to the weights.
 * - `round-robin`: in turn, as often as the weights say.
 * - `least-in-flight`: who has the fewest calls running for its weight.
 * - `lowest-latency`: the better of two drawn at random, by how long an answer takes there and how many calls wait for one.
 */
export type BalanceKind = "cheapest" | "weighted" | "round-robin" | "least-in-flight" | "lowest-latency"
