import type { BudgetStore, Closing, ReserveOutcome } from "../spec/budget.ts"

/**
 * Two stores as one: money is held in both or in none, and closed in both.
 *
 * @param first Answers at once, as it is in this process: its holds may live for ever.
 * @param second May be far away, and is asked for a hold before the other: while it does not answer nothing is held in `first`,
 * whose hold nobody would give back if the caller went away.
 */
export function bothBudgets(first: BudgetStore, second: BudgetStore): BudgetStore {
  return {
    // Handlers that count money leave alone what the router's own ledger counts; the agent's accounts are nobody else's.
    name: second.name,
    async reserve(request) {
      const outcome = await second.reserve(request)
      if (!outcome.granted) return outcome
      // What cannot be given back now is told to the store later, or expires.
      const giveBack = () => second.release(request.id).catch(() => undefined)
      try {
        const also = await first.reserve(request)
        if (!also.granted) await giveBack()
        return shorter(outcome, also)
      } catch (error) {
        await giveBack()
        throw error
      }
    },
    settle: async (id, actual) => oneClosing(await inBoth((store) => store.settle(id, actual))),
    release: async (id) => oneClosing(await inBoth((store) => store.release(id))),
    extend: async (id, ttlMs) => {
      const live = await Promise.all([first.extend(id, ttlMs), second.extend(id, ttlMs)])
      return live.every(Boolean)
    },
    book: async (request) => void (await inBoth((store) => store.book(request))),
    status: async (scopes) => [...(await first.status(scopes)), ...(await second.status(scopes))],
    close: async () => void (await inBoth((store) => store.close())),
  }

  /** One store that fails must not leave money held, or unbooked, in the other. */
  async function inBoth<T>(work: (store: BudgetStore) => Promise<T>): Promise<readonly T[]> {
    const done = await Promise.allSettled([work(first), work(second)])
    return done.map((one) => {
      if (one.status === "rejected") throw one.reason
      return one.value
    })
  }
}

/** Lives as long as the first of both to expire. */
function shorter(one: ReserveOutcome, other: ReserveOutcome): ReserveOutcome {
  if (!one.granted || !other.granted) return other
  const [a, b] = [one.reservation, other.reservation]
  const expiresAt = Math.min(a.expiresAt, b.expiresAt)
  return { granted: true, reservation: { ...b, expiresAt, ttlMs: Math.min(a.ttlMs, b.ttlMs) } }
}

/** Both held the same, so that the same was spent beyond it; but each may have expired, or be closed already. */
function oneClosing(closings: readonly (Closing | undefined)[]): Closing | undefined {
  const known = closings.filter((closing) => closing !== undefined)
  return known[0] && { ...known[0], late: known.some(({ late }) => late) }
}
