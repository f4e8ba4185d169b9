import type { HoldOutcome } from "../dispatch/dispatch-options.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { Candidate } from "../spec/catalog.ts"
import type { Scopes } from "../spec/request.ts"

export interface HoldMoney {
  readonly budget: BudgetStore
  readonly scopes: Scopes
  /** Unique per hold. */
  readonly nextId: () => string
  /** Told when the store fails to close a hold: the answer is there and must not be lost for it. */
  readonly onProblem: (error: unknown) => void
}

/** Holds the quote of one candidate, and closes the hold with what the call did cost. */
export async function holdMoney(
  { budget, scopes, nextId, onProblem }: HoldMoney,
  { quote }: Candidate,
): Promise<HoldOutcome> {
  const id = nextId()
  const outcome = await budget.reserve({ id, scopes, amount: quote })
  if (!outcome.granted) return { granted: false, refusal: outcome.refusal, quote }
  const close = (closing: Promise<void>) => closing.catch(onProblem)
  return {
    granted: true,
    hold: {
      settle: ({ usage, cost }) => {
        const tokens = usage === undefined ? 0 : usage.inputTokens + usage.outputTokens
        return close(budget.settle(id, { money: cost, tokens }))
      },
      release: () => close(budget.release(id)),
    },
  }
}
