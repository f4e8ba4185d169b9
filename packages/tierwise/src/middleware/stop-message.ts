import { AIMessage, type BaseMessage } from "@langchain/core/messages"
import type { Refusal } from "../spec/budget.ts"
import { BudgetExceededError } from "../spec/errors.ts"
import { type Amount, nanoToUsd, nanoUsd } from "../spec/money.ts"
import type { AgentScope } from "./agent-accounts.ts"

/**
 * What the agent does when a model call does not fit.
 * - `error`: it throws BudgetExceededError.
 * - `end`: it ends its run with a message that says so.
 * - `ask`: it interrupts with a `BudgetQuestion`, and goes on or ends as the `BudgetAnswer` says.
 */
export type OnExhausted = "error" | "end" | "ask"

/** The value of the interrupt. Resume with a `BudgetAnswer`: `new Command({ resume: { usd: 0.05 } })`. */
export interface BudgetQuestion {
  readonly type: "budget-exceeded"
  /** For people. */
  readonly message: string
  /** Whose limit it is. */
  readonly scope: AgentScope
  /** The run's or thread's id. */
  readonly id: string
  /** What `limit`, `remaining` and `wanted` count. */
  readonly unit: "usd" | "tokens"
  readonly limit: number
  readonly remaining: number
  /** The most the call may take. */
  readonly wanted: number
}

/** By how much the limit that was met is raised, in US dollars and tokens; or `stop`: the run ends with a message. */
export type BudgetAnswer =
  | { readonly usd?: number | undefined; readonly tokens?: number | undefined }
  | "stop"

/** Why a call was not made. Plain JSON: it travels on a message and through checkpoints. */
export interface Exhaustion {
  readonly refusal: Refusal
  readonly quote: { readonly money: number; readonly tokens: number }
  readonly onExhausted: OnExhausted
}

const MARK = "tierwise_budget"

/**
 * The reply in place of a call that was not made. A message, not an error, because retries and fallbacks around the call
 * would swallow an error, and an interrupt; the hook after the call makes of it what the user wants.
 */
export function stopMessage(
  refusal: Refusal,
  quote: Amount,
  onExhausted: OnExhausted,
  id: string,
): AIMessage {
  const exhaustion: Exhaustion = { refusal, quote, onExhausted }
  return new AIMessage({
    id,
    content: errorFor(exhaustion).message,
    response_metadata: { finish_reason: "budget-exceeded", [MARK]: exhaustion },
  })
}

/** Undefined for every other message. */
export function exhaustionOf(message: BaseMessage | undefined): Exhaustion | undefined {
  return message?.response_metadata[MARK] as Exhaustion | undefined
}

export function errorFor({ refusal, quote }: Exhaustion): BudgetExceededError {
  return new BudgetExceededError(refusal, { money: nanoUsd(quote.money), tokens: quote.tokens })
}

export function questionFor(exhaustion: Exhaustion): BudgetQuestion {
  const { refusal, quote } = exhaustion
  const { scope, id } = accountIn(refusal)
  const { message } = errorFor(exhaustion)
  const about = { type: "budget-exceeded", message, scope, id } as const
  if (refusal.unit === "tokens") {
    const { limit, remaining } = refusal
    return { ...about, unit: "tokens", limit, remaining, wanted: quote.tokens }
  }
  const [limit, remaining, wanted] = [refusal.limit, refusal.remaining, quote.money].map((money) =>
    nanoToUsd(nanoUsd(money)),
  ) as [number, number, number]
  return { ...about, unit: "usd", limit, remaining, wanted }
}

/** Whose limit refused: `run:r-1` → the run `r-1`. */
export function accountIn({ scope }: Refusal): { readonly scope: AgentScope; readonly id: string } {
  const colon = scope.indexOf(":")
  return { scope: scope.slice(0, colon) as AgentScope, id: scope.slice(colon + 1) }
}
