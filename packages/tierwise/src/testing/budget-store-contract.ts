import type { BudgetStatus, BudgetStore, ReserveOutcome } from "../spec/budget.ts"
import { type Amount, nanoUsd } from "../spec/money.ts"
import { type ContractCase, must } from "./contract.ts"

/** A fresh store with the limits below, whose clock the suite moves. */
export interface BudgetStoreUnderTest {
  readonly store: BudgetStore
  /** Moves the store's clock ahead. */
  readonly advance: (ms: number) => Promise<void> | void
}

/** What the store under test must be built with: two scopes, so that "all or none" can be seen. */
export const CONTRACT_LIMITS = {
  tenantNanoUsdPerDay: 1_000,
  userTokensPerDay: 500,
  holdTtlMs: 60_000,
} as const

const SCOPES = { tenant: "acme", user: "ada" }

/**
 * What every `BudgetStore` must do. The store is built with: `tenant` 1,000 NanoUsd a day, `user` 500 tokens a day,
 * holds living 60 s.
 *
 * @example for (const { name, run } of budgetStoreContract(makeStore)) it(name, run)
 */
export function budgetStoreContract(make: () => Promise<BudgetStoreUnderTest>): readonly ContractCase[] {
  const story = (name: string, run: (under: BudgetStoreUnderTest) => Promise<void>): ContractCase => ({
    name,
    run: async () => run(await make()),
  })
  return [
    story("grants what fits and shows it as held", async ({ store }) => {
      must(granted(await reserve(store, "a", 400, 100)), "a hold that fits was refused")
      const { tenant, user } = await read(store)
      must(tenant.held === 400 && tenant.spent === 0, "the held money does not show")
      must(user.held === 100 && user.remaining === 400, "the held tokens do not show")
    }),

    story("refuses what does not fit, naming scope, limit, remaining and reset", async ({ store }) => {
      await reserve(store, "a", 800, 10)
      const outcome = await reserve(store, "b", 300, 10)
      must(!outcome.granted, "a hold beyond the limit was granted")
      const { scope, limit, remaining, resetsAt, unit } = outcome.refusal
      must(scope === "tenant:acme" && unit === "NanoUsd", `the refusal names ${scope} in ${unit}`)
      must(limit === 1_000 && remaining === 200, `the refusal says ${remaining} of ${limit}`)
      must(resetsAt !== undefined, "the refusal of a daily window has no reset time")
    }),

    story("holds in all scopes or in none", async ({ store }) => {
      must(!granted(await reserve(store, "a", 100, 501)), "tokens beyond the user's limit were granted")
      const { tenant, user } = await read(store)
      must(tenant.held === 0 && user.held === 0, "a refused reservation left something held")
    }),

    story("keeps other ids apart", async ({ store }) => {
      await reserve(store, "a", 1_000, 10)
      const other = { id: "b", scopes: { tenant: "other", user: "bob" }, amount: amount(1_000, 10) }
      must(granted(await store.reserve(other)), "one tenant's hold counted against another's limit")
    }),

    story("replaces the hold by what was spent", async ({ store }) => {
      await reserve(store, "a", 900, 100)
      await store.settle("a", amount(250, 40))
      const { tenant, user } = await read(store)
      must(tenant.held === 0 && tenant.spent === 250, `held ${tenant.held}, spent ${tenant.spent}`)
      must(user.held === 0 && user.spent === 40, `held ${user.held}, spent ${user.spent} tokens`)
    }),

    story("books what was spent beyond the hold", async ({ store }) => {
      await reserve(store, "a", 900, 100)
      await store.settle("a", amount(1_200, 100))
      const { tenant } = await read(store)
      must(tenant.spent === 1_200, `booked ${tenant.spent} of 1200`)
      must(!granted(await reserve(store, "b", 1, 1)), "money was granted beyond an overrun limit")
    }),

    story("gives a released hold back", async ({ store }) => {
      await reserve(store, "a", 1_000, 500)
      await store.release("a")
      const { tenant, user } = await read(store)
      must(tenant.remaining === 1_000 && user.remaining === 500, "a released hold is still there")
    }),

    story("is idempotent by id", async ({ store }) => {
      await reserve(store, "a", 600, 100)
      must(granted(await reserve(store, "a", 600, 100)), "the same id was refused the second time")
      must((await read(store)).tenant.held === 600, "the same id was held twice")
      await store.settle("a", amount(500, 90))
      await store.settle("a", amount(500, 90))
      await store.release("a")
      const { tenant, user } = await read(store)
      must(tenant.spent === 500 && tenant.held === 0, `closing twice booked ${tenant.spent}`)
      must(user.spent === 90 && user.held === 0, `closing twice booked ${user.spent} tokens`)
    }),

    story("refuses to share a hold: the same id with another amount", async ({ store }) => {
      await reserve(store, "a", 1, 1)
      const outcome = await reserve(store, "a", 900, 1).catch(() => undefined)
      must(outcome === undefined, "two reservations share one hold")
      must((await read(store)).tenant.held === 1, "the hold changed its amount")
    }),

    story("books an expired hold at its quote as unconfirmed", async ({ store, advance }) => {
      await reserve(store, "a", 700, 100)
      await advance(CONTRACT_LIMITS.holdTtlMs + 1)
      const { tenant } = await read(store)
      must(tenant.held === 0, "an expired hold is still held")
      must(
        tenant.spent === 700 && tenant.unconfirmed === 700,
        "an expired hold was set free: it may have been billed",
      )
    }),

    story("corrects an expired hold when its settlement arrives late", async ({ store, advance }) => {
      await reserve(store, "a", 700, 100)
      await advance(CONTRACT_LIMITS.holdTtlMs + 1)
      await store.settle("a", amount(200, 30))
      const { tenant, user } = await read(store)
      must(
        tenant.spent === 200 && tenant.unconfirmed === 0,
        `spent ${tenant.spent} after a late settlement of 200`,
      )
      must(user.spent === 30, `spent ${user.spent} tokens after a late settlement of 30`)
    }),

    story("keeps an extended hold alive", async ({ store, advance }) => {
      await reserve(store, "a", 700, 100)
      await advance(CONTRACT_LIMITS.holdTtlMs - 1)
      must(await store.extend("a", CONTRACT_LIMITS.holdTtlMs), "a live hold could not be extended")
      await advance(CONTRACT_LIMITS.holdTtlMs - 1)
      must((await read(store)).tenant.held === 700, "an extended hold expired")
      await advance(2)
      must(!(await store.extend("a", 1_000)), "an expired hold was extended")
    }),

    story(
      "starts a new window with nothing spent, and settles in the old one",
      async ({ store, advance }) => {
        await reserve(store, "a", 900, 100)
        await store.settle("a", amount(900, 100))
        await advance(86_400_000)
        must(granted(await reserve(store, "b", 1_000, 100)), "yesterday's spend counts today")
      },
    ),

    story("never grants beyond the limit to many at once", async ({ store }) => {
      const outcomes = await Promise.all(Array.from({ length: 50 }, (_, i) => reserve(store, `r${i}`, 90, 1)))
      const count = outcomes.filter(granted).length
      must(count === 11, `${count} holds of 90 were granted under a limit of 1000; 11 fit`)
    }),
  ]
}

function amount(money: number, tokens: number): Amount {
  return { money: nanoUsd(money), tokens }
}

function reserve(store: BudgetStore, id: string, money: number, tokens: number): Promise<ReserveOutcome> {
  return store.reserve({ id, scopes: SCOPES, amount: amount(money, tokens) })
}

function granted(outcome: ReserveOutcome): boolean {
  return outcome.granted
}

async function read(store: BudgetStore): Promise<{ tenant: BudgetStatus; user: BudgetStatus }> {
  const statuses = await store.status(SCOPES)
  const tenant = statuses.find(({ scope }) => scope === "tenant:acme")
  const user = statuses.find(({ scope }) => scope === "user:ada")
  must(tenant !== undefined && user !== undefined, "the status does not list tenant:acme and user:ada")
  return { tenant, user }
}
