import type { BudgetStore } from "../spec/budget.ts"

/** Two stores as one: money is held in both or in none, and closed in both. `first` is asked first. */
export function bothBudgets(first: BudgetStore, second: BudgetStore): BudgetStore {
  return {
    async reserve(request) {
      const outcome = await first.reserve(request)
      if (!outcome.granted) return outcome
      try {
        const also = await second.reserve(request)
        if (!also.granted) await first.release(request.id)
        return also
      } catch (error) {
        await first.release(request.id)
        throw error
      }
    },
    settle: (id, actual) => inBoth((store) => store.settle(id, actual)),
    release: (id) => inBoth((store) => store.release(id)),
    extend: async (id, ttlMs) => {
      const live = await Promise.all([first.extend(id, ttlMs), second.extend(id, ttlMs)])
      return live.every(Boolean)
    },
    status: async (scopes) => [...(await first.status(scopes)), ...(await second.status(scopes))],
  }

  /** One store that fails must not leave money held in the other. */
  async function inBoth(close: (store: BudgetStore) => Promise<void>): Promise<void> {
    const closed = await Promise.allSettled([close(first), close(second)])
    const failed = closed.find(({ status }) => status === "rejected")
    if (failed?.status === "rejected") throw failed.reason
  }
}
