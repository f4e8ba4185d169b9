import { AIMessage } from "@langchain/core/messages"
import type { ReplyMetadata } from "../langchain/reply.ts"
import { reportedUsage } from "../langchain/usage.ts"
import { costOf } from "../pricing/cost.ts"
import type { Rates } from "../pricing/rates.ts"
import { ConfigError } from "../spec/errors.ts"
import { type Amount, usdToNano, ZERO_USD } from "../spec/money.ts"
import type { Watch } from "./agent-accounts.ts"

export interface UnmeteredOptions {
  /** What `wrapModelCall` was given back: a message, or an agent's structured response with its messages. */
  readonly answer: unknown
  readonly watch: Watch
  /** Of models that the agent's other middleware brings in; undefined if nobody has said. */
  readonly rates: Rates | undefined
  readonly limitsMoney: boolean
}

/**
 * What an answer did cost that was made past every hold: another middleware, closer to the model, had put another model
 * in the held one's place. Undefined for an answer that was held for.
 *
 * @throws ConfigError if money is limited and nobody knows that model's price.
 */
export function unmetered({ answer, watch, rates, limitsMoney }: UnmeteredOptions): Amount | undefined {
  const message = messageIn(answer)
  const usage = message && reportedUsage(message)
  if (message === undefined || usage === undefined) return undefined
  const tokens = usage.inputTokens + usage.outputTokens
  const metadata = message.response_metadata["tierwise"] as ReplyMetadata | undefined
  if (metadata !== undefined) {
    return watch.answered.has(metadata.id) ? undefined : { money: usdToNano(metadata.costUsd), tokens }
  }
  // Another middleware has rewritten what a held model answered.
  if (watch.answered.size > 0) return undefined
  if (rates !== undefined) return { money: costOf(usage, rates), tokens }
  if (!limitsMoney) return { money: ZERO_USD, tokens }
  throw new ConfigError(
    "middleware",
    "a model answered that budgetMiddleware did not get to see, and its price is unknown",
    "list budgetMiddleware after every middleware that changes the model, such as modelFallbackMiddleware",
  )
}

function messageIn(answer: unknown): AIMessage | undefined {
  if (AIMessage.isInstance(answer)) return answer
  const { messages } = (answer ?? {}) as { readonly messages?: unknown }
  return Array.isArray(messages) ? messages.find((message) => AIMessage.isInstance(message)) : undefined
}
