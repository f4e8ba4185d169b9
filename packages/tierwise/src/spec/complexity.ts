import type { AskedText, RequestFeatures, RouteRequest } from "./request.ts"

export interface ComplexityEstimate {
  /** 0 (trivial) … 1 (as hard as it gets). */
  readonly score: number
  /** 0 … 1: how much this score should be believed. */
  readonly confidence: number
  /** Every factor's value, by name, for people: what made the score. */
  readonly factors: Readonly<Record<string, number>>
}

/** What an estimator sees: numbers, the human's words, and the request for what else it may need. */
export interface EstimatorInput {
  readonly features: RequestFeatures
  readonly text: AskedText
  readonly request: RouteRequest
}

/** How hard is it? Pure: the same input gives the same estimate. May throw; the default tier answers then. */
export interface Estimator {
  /** Stable name for the record, e.g. `five-factor`. */
  readonly name: string
  estimate(input: EstimatorInput): ComplexityEstimate | Promise<ComplexityEstimate>
}
