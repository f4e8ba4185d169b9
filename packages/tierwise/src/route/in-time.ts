import type { BudgetStore } from "../spec/budget.ts"
import { BudgetUnavailableError, messageOf, TierwiseError } from "../spec/errors.ts"

/** Longer than the stores of this package take before they give up, ms. */
export const STORE_PATIENCE_MS = 10_000

/**
 * One step of a budget store, which may be anybody's: it hangs no call, and whatever it throws is told in one way.
 * @throws BudgetUnavailableError, or the store's own TierwiseError.
 */
export async function inTime<T>(
  budget: BudgetStore,
  step: (budget: BudgetStore) => Promise<T>,
  patienceMs: number = STORE_PATIENCE_MS,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const tooLate = new Promise<never>((_, reject) => {
    const error = new BudgetUnavailableError(budget.name, `it has not answered for ${patienceMs} ms`)
    timer = setTimeout(() => reject(error), patienceMs)
  })
  try {
    return await Promise.race([step(budget), tooLate])
  } catch (error) {
    if (TierwiseError.isInstance(error)) throw error
    throw new BudgetUnavailableError(budget.name, messageOf(error), { cause: error })
  } finally {
    clearTimeout(timer)
  }
}
