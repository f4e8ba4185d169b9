import type { Meter } from "../dispatch/dispatch-options.ts"
import type { Piece } from "../langchain/piece.ts"
import { generatedText, reportedUsage } from "../langchain/usage.ts"
import { costOf } from "../pricing/cost.ts"
import type { Rates } from "../pricing/rates.ts"
import { type Amount, ZERO_USD } from "../spec/money.ts"
import type { RequestFeatures } from "../spec/request.ts"
import { addUsage, type Usage } from "../spec/usage.ts"
import { estimateTokens } from "../tokens/estimate-tokens.ts"

export interface MeterOptions {
  readonly features: RequestFeatures
  readonly rates: Rates
  readonly quote: Amount
  /** Of all answers of the call together, tokens: what the quote is made with. */
  readonly maxOutputTokens: number
}

/**
 * Counts one try's answer. What the provider reported is the bill. Where it reported nothing, the words that were seen
 * are counted; where a call was sent and nothing of its answer was seen, it is booked at its quote, like a hold that
 * nobody closed. Both say that they are estimates.
 */
export function meterAnswer({ features, rates, quote, maxOutputTokens }: MeterOptions): Meter<Piece> {
  const seen: string[] = []
  let reported: Usage | undefined
  let lost = false

  const seenTokens = () => Math.min(estimateTokens(seen.join("")), maxOutputTokens)
  const wholeQuote = () => {
    const inputTokens = quote.tokens - maxOutputTokens
    return { usage: estimate(inputTokens, maxOutputTokens), cost: quote.money }
  }
  const priced = (usage: Usage) => {
    try {
      return { usage, cost: costOf(usage, rates) }
    } catch {
      // A report beyond what money can count is no report.
      return wholeQuote()
    }
  }

  return {
    see({ message, unseen }) {
      lost ||= unseen === true
      seen.push(generatedText(message))
      reported = addUsage(reported, reportedUsage(message))
    },
    read(ended, mayBeBilled) {
      if (ended === "failed" && !mayBeBilled) return { usage: undefined, cost: ZERO_USD }
      const saidNothing = seen.every((words) => words === "")
      if (lost || (ended === "failed" && saidNothing)) return wholeQuote()
      if (reported === undefined) return priced(estimate(features.inputTokens, seenTokens()))
      if (ended === "answered") return priced(reported)
      // Providers report the output last: what a broken stream has reported of it is less than what it has sent.
      const outputTokens = Math.max(reported.outputTokens, seenTokens())
      return priced({ ...reported, outputTokens, estimated: true })
    },
  }
}

function estimate(inputTokens: number, outputTokens: number): Usage {
  const nothing = { cachedInputTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 }
  return { inputTokens, outputTokens, ...nothing, estimated: true }
}
