import type { HoldOutcome } from "../dispatch/dispatch-options.ts"
import { withSignal } from "../dispatch/with-signal.ts"
import type { BudgetStore, Reservation, ReserveOutcome } from "../spec/budget.ts"
import type { Candidate } from "../spec/catalog.ts"
import type { Scopes } from "../spec/request.ts"
import { inTime } from "./in-time.ts"
import type { LooseEnds } from "./loose-ends.ts"

export interface HoldMoney {
  readonly budget: BudgetStore
  readonly scopes: Scopes
  readonly signal: AbortSignal | undefined
  /** Told when the store fails to close a hold: the answer is there and must not be lost for it. */
  readonly onProblem: (error: unknown) => void
  /** Told of what goes on when the call has gone. Default: nobody waits for it. */
  readonly looseEnds?: Pick<LooseEnds, "add"> | undefined
}

/**
 * Holds the quote of one candidate, keeps the hold while the call goes on, and closes it with what the call did cost.
 * @throws BudgetUnavailableError if the store fails: without a hold nobody is called.
 */
export async function holdMoney(
  { budget, scopes, signal, onProblem, looseEnds }: HoldMoney,
  { quote }: Pick<Candidate, "quote">,
): Promise<HoldOutcome> {
  // The hold's own: an id that a caller, another router or an earlier process could repeat would share its money.
  const id = crypto.randomUUID()
  const close = async (closing: (budget: BudgetStore) => Promise<unknown>) => {
    try {
      await inTime(budget, closing)
    } catch (error) {
      onProblem(error)
    }
  }
  let asked: Promise<ReserveOutcome> | undefined
  const asking = inTime(budget, (store) => {
    asked = store.reserve({ id, scopes, amount: quote })
    return asked
  })
  const outcome = await withSignal(asking, signal).catch((error: unknown) => {
    // A grant that comes after the caller has gone, or has given up, is nobody's any more.
    const giveBack = ({ granted }: ReserveOutcome) =>
      granted ? close((store) => store.release(id)) : undefined
    const givenBack = asked?.then(giveBack).catch(() => {})
    if (givenBack !== undefined) looseEnds?.add(givenBack)
    throw error
  })
  if (!outcome.granted) return { granted: false, refusal: outcome.refusal, quote }
  return {
    granted: true,
    hold: {
      id,
      keep: (goesOn) => keepAlive(budget, outcome.reservation, goesOn),
      settle: ({ usage, cost }) => {
        const tokens = usage === undefined ? 0 : usage.inputTokens + usage.outputTokens
        return close((store) => store.settle(id, { money: cost, tokens }))
      },
      release: () => close((store) => store.release(id)),
    },
  }
}

/** Timers take no more, ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Two looks in a hold's life, so that one that fails leaves another. */
const LOOKS_PER_LIFE = 3

/**
 * Extends a hold while its call goes on. One whose reader has stopped reading, without going away, is left to expire: it
 * would be held for ever.
 */
function keepAlive(budget: BudgetStore, { id, ttlMs }: Reservation, goesOn: () => boolean): () => void {
  const everyMs = Math.min(ttlMs / LOOKS_PER_LIFE, LONGEST_TIMER_MS)
  const timer = setInterval(() => {
    // A store that fails now is asked again; and what expires all the same is corrected by its settlement.
    if (goesOn()) void inTime(budget, (store) => store.extend(id, ttlMs)).catch(() => {})
  }, everyMs)
  ;(timer as { unref?: () => void }).unref?.()
  return () => clearInterval(timer)
}
