import { type Amount, type BudgetLimit, type BudgetStore, nanoUsd } from "tierwise"

/** What one process saw of one hold; times are ns of the machine's monotonic clock, the same in every process. */
export interface Seen {
  readonly amount: number
  readonly askedAt: number
  readonly answeredAt: number
  /** Undefined: refused. */
  readonly granted: boolean
  /** Of a refusal: what the store said was left. */
  readonly remaining: number
  readonly closedFrom: number
  readonly closedAt: number
  /** What was spent; 0 if it was released. */
  readonly actual: number
}

/** Two scopes with the same traffic, the second a little wider: both must hold, the first is the one that refuses. */
export function limitsOf(limit: number): readonly BudgetLimit[] {
  return [
    { scope: "tenant", window: "total", usd: limit / 1e9 },
    { scope: "global", window: "total", usd: (limit + 1) / 1e9 },
  ]
}

/** A small, well-known generator (mulberry32): the same seed gives the same story in every process. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const LARGEST_HOLD = 20_000

/**
 * `calls` holds at once, of random amounts. Of those granted some are released (nothing was sent), some settled at their
 * quote (nobody knows), most below it, and some above it (an injected overrun).
 */
export async function play(
  budget: BudgetStore,
  { seed, calls, name }: { seed: number; calls: number; name: string },
): Promise<readonly Seen[]> {
  const random = seeded(seed)
  const plans = Array.from({ length: calls }, (_, index) => ({
    id: `${name}-${index}`,
    amount: 1 + Math.floor(random() * LARGEST_HOLD),
    fate: random(),
    share: random(),
    pauseMs: random() * 5,
  }))
  return Promise.all(
    plans.map(async ({ id, amount, fate, share, pauseMs }) => {
      const askedAt = now()
      const outcome = await budget.reserve({ id, scopes: { tenant: "acme" }, amount: money(amount) })
      const answeredAt = now()
      const asked = { amount, askedAt, answeredAt }
      if (!outcome.granted) {
        const { remaining } = outcome.refusal
        return { ...asked, granted: false, remaining, closedFrom: 0, closedAt: 0, actual: 0 }
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      const actual = actualOf(amount, fate, share)
      const closedFrom = now()
      await (fate < RELEASED ? budget.release(id) : budget.settle(id, money(actual)))
      return { ...asked, granted: true, remaining: 0, closedFrom, closedAt: now(), actual }
    }),
  )
}

const RELEASED = 0.15
const AT_QUOTE = 0.25
const ABOVE = 0.3

function actualOf(amount: number, fate: number, share: number): number {
  if (fate < RELEASED) return 0
  if (fate < AT_QUOTE) return amount
  if (fate < ABOVE) return amount + 1 + Math.floor(share * amount)
  return Math.floor(share * amount)
}

function money(amount: number): Amount {
  return { money: nanoUsd(amount), tokens: 0 }
}

function now(): number {
  return Number(process.hrtime.bigint())
}
