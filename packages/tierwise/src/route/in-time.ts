import { within } from "../budget/within.ts"
import type { BudgetStore } from "../spec/budget.ts"
import { BudgetUnavailableError, messageOf, TierwiseError } from "../spec/errors.ts"

/** Longer than the stores of this package take before they give up, ms. */
const STORE_PATIENCE_MS = 10_000

/**
 * One step of a budget store, which may be anybody's: it hangs no call, and whatever it throws is told in one way.
 * @throws BudgetUnavailableError, or the store's own TierwiseError.
 */
export async function inTime<T>(budget: BudgetStore, step: (budget: BudgetStore) => Promise<T>): Promise<T> {
  try {
    return await within(budget.name, STORE_PATIENCE_MS, async () => step(budget))
  } catch (error) {
    if (TierwiseError.isInstance(error)) throw error
    throw new BudgetUnavailableError(budget.name, messageOf(error), { cause: error })
  }
}
