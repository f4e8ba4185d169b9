import type { Meter } from "../dispatch/dispatch-options.ts"
import type { Piece } from "../langchain/call-model.ts"
import { estimatedOutputTokens, reportedUsage } from "../langchain/usage.ts"
import { costOf } from "../pricing/cost.ts"
import type { Rates } from "../pricing/rates.ts"
import { ZERO_USD } from "../spec/money.ts"
import type { RequestFeatures } from "../spec/request.ts"
import { addUsage, type Usage } from "../spec/usage.ts"

/**
 * Counts one try's answer. What the provider reported is the bill; where it reported nothing (a stream that broke, a
 * server without usage) the tokens seen are counted and the usage says that it is an estimate.
 */
export function meterAnswer(features: RequestFeatures, rates: Rates): Meter<Piece> {
  let reported: Usage | undefined
  let seenTokens = 0
  return {
    see({ message }) {
      const usage = reportedUsage(message)
      if (usage === undefined) seenTokens += estimatedOutputTokens(message)
      else reported = addUsage(reported, usage)
    },
    read(ended, mayBeBilled) {
      if (ended === "failed" && !mayBeBilled) return { usage: undefined, cost: ZERO_USD }
      // Output tokens arrive last: a stream that broke may have reported its input only.
      const usage = reported ?? estimated(features, seenTokens)
      return { usage, cost: costOf(usage, rates) }
    },
  }
}

function estimated({ inputTokens }: RequestFeatures, outputTokens: number): Usage {
  const nothing = { cachedInputTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 }
  return { inputTokens, outputTokens, ...nothing, estimated: true }
}
