import { completionsPerCall } from "../langchain/limit-output.ts"
import { type QuoteInput, quote } from "../pricing/quote.ts"
import type { Candidate } from "../spec/catalog.ts"
import { NoEligibleDeploymentError } from "../spec/errors.ts"
import type { Amount } from "../spec/money.ts"
import type { Tier } from "../spec/request.ts"
import type { Plan } from "../spec/telemetry.ts"
import type { Planned } from "./make-plan.ts"
import type { RouterParts } from "./router-parts.ts"

/** What one candidate may cost. Money is in NanoUsd; tokens are input plus output. */
export interface PredictedCost {
  readonly deploymentId: string
  readonly tier: Tier
  /**
   * The most it can be: the input bounded by its bytes, the output full to its cap. This is what a budget holds; with
   * `quoteInput: "estimated"` it holds `likely`.
   */
  readonly most: Amount
  /** The same with the estimated size of the input: about what an answer that fills its cap costs. */
  readonly likely: Amount
  /** The output cap both are made with, tokens. */
  readonly maxOutputTokens: number
}

/** What a call may cost, before it is made. The first candidate is the one that would be asked first. */
export interface CallQuote extends PredictedCost {
  /** All who could be asked, in their order. A call that falls back or escalates pays for each that was asked. */
  readonly candidates: readonly PredictedCost[]
  /** What `explain` gives for the same call. */
  readonly plan: Plan
}

/** @throws NoEligibleDeploymentError if nobody can take the request. */
export function predictCost(parts: RouterParts, { plan, candidates }: Planned): CallQuote {
  const predicted = candidates.map((candidate) => predictedFor(parts, plan, candidate))
  const [first] = predicted
  if (first === undefined) throw new NoEligibleDeploymentError(plan.excluded)
  return { ...first, candidates: predicted, plan }
}

function predictedFor(parts: RouterParts, { features }: Plan, candidate: Candidate): PredictedCost {
  const { deployment, maxOutputTokens } = candidate
  const completions = completionsPerCall(deployment.model)
  const amount = (quoteInput: QuoteInput): Amount =>
    quote(features, parts.ratesOf(deployment), {
      quoteInput,
      maxOutputTokens,
      completions,
      mediaTokens: parts.mediaTokens,
    })
  return {
    deploymentId: deployment.id,
    tier: deployment.tier,
    most: amount("upper-bound"),
    likely: amount("estimated"),
    maxOutputTokens,
  }
}
