import type { Meter } from "../dispatch/dispatch-options.ts"
import type { Piece } from "../langchain/piece.ts"
import {
  generatedCalls,
  generatedText,
  reportedUsageWithin,
  reportsCountOn,
  usageOfPieces,
} from "../langchain/usage.ts"
import { costOf } from "../pricing/cost.ts"
import type { Rates } from "../pricing/rates.ts"
import { type Amount, ZERO_USD } from "../spec/money.ts"
import type { RequestFeatures } from "../spec/request.ts"
import { NO_USAGE, type Usage } from "../spec/usage.ts"
import { estimateTokens } from "../tokens/estimate-tokens.ts"

export interface MeterOptions {
  readonly features: RequestFeatures
  readonly rates: Rates
  readonly quote: Amount
  /** Of all answers of the call together, tokens: what the quote is made with. */
  readonly maxOutputTokens: number
  /** Answers that were asked for (OpenAI's `n`). Default 1. */
  readonly completions?: number | undefined
}

/**
 * What a tool call takes beside its name and arguments: what marks it as one, and whom it is for. OpenAI's API reference
 * reports 17 tokens for one whose name and arguments have 13.
 */
const TOKENS_PER_CALL = 4

/**
 * Counts one try's answer. What the provider reported is the bill. Where it reported nothing, the words that were seen
 * are counted; where a call was sent and nothing of its answer was seen, it is booked at its quote, like a hold that
 * nobody closed. Both say that they are estimates.
 */
export function meterAnswer({
  features,
  rates,
  quote,
  maxOutputTokens,
  completions = 1,
}: MeterOptions): Meter<Piece> {
  const seen: string[] = []
  const reports: Usage[] = []
  let calls = 0
  let countsOn = false
  let lost = false
  let isWhole = false

  const seenTokens = () => {
    const tokens = estimateTokens(seen.join("")) + calls * TOKENS_PER_CALL
    // LangChain shows the first of several whole answers, and every chunk of several streamed ones.
    return Math.min(isWhole ? tokens * completions : tokens, maxOutputTokens)
  }
  const inputBound = quote.tokens - maxOutputTokens
  const { images, audioClips, files } = features
  // What a picture or a clip takes cannot be counted here; the quote has bounded it.
  const likelyInput = images + audioClips + files > 0 ? inputBound : features.inputTokens
  const wholeQuote = () => ({ usage: estimate(inputBound, maxOutputTokens), cost: quote.money })
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
      isWhole ||= !("tool_call_chunks" in message)
      seen.push(generatedText(message))
      calls += generatedCalls(message)
      countsOn ||= reportsCountOn(message)
      const report = reportedUsageWithin(message, maxOutputTokens)
      if (report !== undefined) reports.push(report)
    },
    read(ended, mayBeBilled) {
      if (ended === "failed" && !mayBeBilled) return { usage: undefined, cost: ZERO_USD }
      const saidNothing = seen.every((words) => words === "")
      if (lost || (ended === "failed" && saidNothing)) return wholeQuote()
      const reported = usageOfPieces(reports, countsOn)
      if (reported === undefined) return priced(estimate(likelyInput, seenTokens()))
      const inputTokens = reported.inputTokens || likelyInput
      // Providers report the output last: what a broken stream has reported of it is less than what it has sent.
      const outputTokens =
        ended === "failed" || reported.outputTokens === 0
          ? Math.max(reported.outputTokens, seenTokens())
          : reported.outputTokens
      const asReported = inputTokens === reported.inputTokens && outputTokens === reported.outputTokens
      const estimated = reported.estimated || ended === "failed" || !asReported
      return priced({ ...reported, inputTokens, outputTokens, estimated })
    },
  }
}

function estimate(inputTokens: number, outputTokens: number): Usage {
  return { ...NO_USAGE, inputTokens, outputTokens }
}
