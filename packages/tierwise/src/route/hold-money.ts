import type { HoldOutcome } from "../dispatch/dispatch-options.ts"
import { withSignal } from "../dispatch/with-signal.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { Candidate } from "../spec/catalog.ts"
import type { Scopes } from "../spec/request.ts"

export interface HoldMoney {
  readonly budget: BudgetStore
  readonly scopes: Scopes
  readonly signal: AbortSignal | undefined
  /** Told when the store fails to close a hold: the answer is there and must not be lost for it. */
  readonly onProblem: (error: unknown) => void
}

/** Holds the quote of one candidate, and closes the hold with what the call did cost. */
export async function holdMoney(
  { budget, scopes, signal, onProblem }: HoldMoney,
  { quote }: Candidate,
): Promise<HoldOutcome> {
  // The hold's own: an id that a caller, another router or an earlier process could repeat would share its money.
  const id = crypto.randomUUID()
  const close = async (closing: () => Promise<void>) => {
    try {
      await closing()
    } catch (error) {
      onProblem(error)
    }
  }
  const asked = budget.reserve({ id, scopes, amount: quote })
  const outcome = await withSignal(asked, signal).catch((error: unknown) => {
    // A grant that comes after the caller has gone is nobody's any more.
    void asked.then(({ granted }) => (granted ? close(() => budget.release(id)) : undefined)).catch(() => {})
    throw error
  })
  if (!outcome.granted) return { granted: false, refusal: outcome.refusal, quote }
  return {
    granted: true,
    hold: {
      settle: ({ usage, cost }) => {
        const tokens = usage === undefined ? 0 : usage.inputTokens + usage.outputTokens
        return close(() => budget.settle(id, { money: cost, tokens }))
      },
      release: () => close(() => budget.release(id)),
    },
  }
}
