import type { BudgetLimit } from "../budget/limits.ts"
import {
  amount,
  ask,
  HOLD_TTL_MS,
  hold,
  type MakeBudget,
  NOON,
  refused,
  rejects,
  SCOPES,
  sameIn,
  shows,
  storiesOf,
} from "./budget-store-contract-subject.ts"
import { type ContractCase, must } from "./contract.ts"

const TENANT = "tenant:acme"
const USER = "user:ada"

/** What is held, and what is refused. */
export function holdCases(make: MakeBudget): readonly ContractCase[] {
  const story = storiesOf(make)
  return [
    story("shows a limit that nothing was counted under yet", async (world) => {
      const nothing = { spent: 0, held: 0, unconfirmed: 0, overrun: 0 }
      const day = {
        window: "day",
        startedAt: Date.UTC(2026, 0, 15),
        resetsAt: Date.UTC(2026, 0, 16),
      } as const
      await shows(world, "at first", [
        { scope: TENANT, unit: "NanoUsd", limit: 1_000, remaining: 1_000, ...nothing, ...day },
        { scope: USER, unit: "tokens", limit: 500, remaining: 500, ...nothing, ...day },
      ])
    }),

    story("grants what fits and shows it as held", async (world) => {
      const outcome = await ask(world, "a", amount(400, 100))
      must(outcome.granted, "a hold that fits was refused")
      const { reservation } = outcome
      sameIn(reservation, { id: "a", expiresAt: NOON + HOLD_TTL_MS, ttlMs: HOLD_TTL_MS }, "the reservation")
      sameIn(reservation.amount, amount(400, 100), "the reservation")
      await shows(world, "with a hold", [
        { scope: TENANT, held: 400, spent: 0, remaining: 600 },
        { scope: USER, held: 100, spent: 0, remaining: 400 },
      ])
    }),

    story("grants to the last unit, and not one more", async (world) => {
      await hold(world, "a", amount(999, 499))
      await hold(world, "b", amount(1, 1))
      await refused(world, "c", amount(1, 0))
      await refused(world, "d", amount(0, 1))
    }),

    story(
      "refuses what does not fit, naming scope, window, unit, limit, remaining and reset",
      async (world) => {
        await hold(world, "a", amount(800, 10))
        const refusal = await refused(world, "b", amount(300, 10))
        const limit = { scope: TENANT, window: "day", unit: "NanoUsd", limit: 1_000 } as const
        sameIn(refusal, { ...limit, remaining: 200, resetsAt: Date.UTC(2026, 0, 16) }, "the refusal")
      },
    ),

    story(
      "refuses nothing in a scope that the amount has no share in, however much is spent there",
      async (world) => {
        await world.store.book({ id: "past", scopes: SCOPES, amount: amount(1_001, 0) })
        await hold(world, "a", amount(0, 100))
        await world.store.settle("a", amount(0, 90))
        sameIn(await refused(world, "b", amount(1, 0)), { scope: TENANT, remaining: 0 }, "of money")
        await world.store.book({ id: "tokens", scopes: SCOPES, amount: amount(0, 501) })
        sameIn(await refused(world, "c", amount(0, 1)), { scope: USER, remaining: 0 }, "of tokens")
        await hold(world, "d", amount(0, 0))
        await shows(world, "beyond both limits", [
          { scope: TENANT, held: 0, spent: 1_001, remaining: 0 },
          { scope: USER, held: 0, spent: 591, remaining: 0 },
        ])
      },
    ),

    story("holds in all scopes or in none", async (world) => {
      sameIn(await refused(world, "a", amount(100, 501)), { scope: USER, unit: "tokens" }, "the refusal")
      sameIn(await refused(world, "b", amount(1_001, 1)), { scope: TENANT, unit: "NanoUsd" }, "the refusal")
      await shows(world, "after refusals", [
        { scope: TENANT, held: 0, spent: 0 },
        { scope: USER, held: 0, spent: 0 },
      ])
    }),

    story("lets an id that was refused ask again", async (world) => {
      await hold(world, "a", amount(800))
      await refused(world, "b", amount(300))
      await world.store.release("a")
      await hold(world, "b", amount(300))
      await shows(world, "after a second try", [{ scope: TENANT, held: 300 }])
    }),

    story("keeps other ids of a scope apart", async (world) => {
      await hold(world, "a", amount(1_000, 500))
      await hold(world, "b", amount(1_000, 500), { tenant: "other", user: "bob" })
      sameIn(
        await refused(world, "c", amount(1, 1), { tenant: "other", user: "eve" }),
        { scope: "tenant:other" },
        "c",
      )
      await shows(world, "after two tenants", [{ scope: TENANT, held: 1_000 }])
    }),

    story(
      "limits money and tokens of one scope side by side",
      async (world) => {
        await hold(world, "a", amount(900, 10))
        sameIn(
          await refused(world, "b", amount(101, 1)),
          { unit: "NanoUsd", remaining: 100 },
          "too much money",
        )
        sameIn(await refused(world, "c", amount(1, 91)), { unit: "tokens", remaining: 90 }, "too many tokens")
        await hold(world, "d", amount(100, 90))
        await shows(world, "with both used up", [
          { scope: TENANT, unit: "NanoUsd", held: 1_000, remaining: 0 },
          { scope: TENANT, unit: "tokens", held: 100, remaining: 0 },
        ])
      },
      { limits: [{ scope: "tenant", window: "day", usd: 1e-6, tokens: 100 }] },
    ),

    story(
      "limits one scope in several windows at once",
      async (world) => {
        await hold(world, "a", amount(0, 60))
        await world.store.settle("a", amount(0, 60))
        sameIn(await refused(world, "b", amount(0, 60)), { window: "day", remaining: 40 }, "the same day")
        world.clock.at += 86_400_000
        sameIn(await refused(world, "c", amount(0, 95)), { window: "month", remaining: 90 }, "the next day")
        await hold(world, "d", amount(0, 90))
      },
      {
        limits: [
          { scope: "tenant", window: "day", tokens: 100 },
          { scope: "tenant", window: "month", tokens: 150 },
        ],
      },
    ),

    story(
      "limits a request, session, user, team, project, tenant and everybody, each by its own limit",
      async (world) => {
        for (const [index, scope] of NESTED.entries()) {
          await hold(world, `${scope} 1`, amount(0, 100), nestedScopes(index, `${scope} 1`))
          const refusal = await refused(world, "full", amount(0, 100), nestedScopes(index, `${scope} 2`))
          const full = scope === "global" ? "global:all" : `${scope}:same`
          sameIn(refusal, { scope: full, limit: (index + 1) * 100, remaining: 0 }, `with ${scope} used up`)
        }
      },
      { limits: NESTED.map(nestedLimit) },
    ),

    story(
      "counts a call that names no id of a limited scope as one id",
      async (world) => {
        await hold(world, "a", amount(0, 80), {})
        sameIn(await refused(world, "b", amount(0, 80), {}), { scope: "tenant:default" }, "the refusal")
        await hold(world, "c", amount(0, 80), { tenant: "acme" })
      },
      { limits: [{ scope: "tenant", window: "day", tokens: 100 }] },
    ),

    story(
      "lets a limit for one id take the place of the general one",
      async (world) => {
        await hold(world, "a", amount(0, 500), { tenant: "big" })
        sameIn(
          await refused(world, "b", amount(0, 500), { tenant: "big" }),
          { limit: 900, remaining: 400 },
          "big",
        )
        sameIn(await refused(world, "c", amount(0, 500), { tenant: "small" }), { limit: 100 }, "small")
      },
      {
        limits: [
          { scope: "tenant", window: "day", tokens: 100 },
          { scope: "tenant", id: "big", window: "day", tokens: 900 },
        ],
      },
    ),

    story(
      "grants whatever nothing limits",
      async (world) => {
        await hold(world, "a", amount(1e12, 1e9))
        const closing = await world.store.settle("a", amount(2e12, 1e9))
        must(closing !== undefined && !closing.late, "a hold that nothing limits could not be settled")
        sameIn(closing.overrun, amount(1e12, 0), "the overrun of a hold that nothing limits")
        const statuses = await world.store.status(SCOPES)
        must(statuses.length === 0, `the status lists ${JSON.stringify(statuses)}, and nothing is limited`)
      },
      { limits: [{ scope: "tenant", id: "other", window: "day", usd: 1 }] },
    ),

    story(
      "takes what names no request as one by itself",
      async (world) => {
        const { store } = world
        await store.book({ id: "booked", scopes: SCOPES, amount: amount(0, 90) })
        await hold(world, "a", amount(0, 60))
        await hold(world, "b", amount(0, 60))
        await shows(world, "of a", [{ scope: "request:a", held: 60 }], { request: "a" })
        await shows(world, "of the booking", [{ scope: "request:booked", spent: 90 }], { request: "booked" })
        must((await store.status(SCOPES)).length === 0, "a request is shown that nobody named")
      },
      { limits: [{ scope: "request", tokens: 100 }] },
    ),

    story("gives the same reservation for the same request, and holds once", async (world) => {
      const asking = () => ask(world, "a", amount(600, 100))
      const first = await asking()
      world.clock.at += 10
      const outcomes = [await asking(), ...(await Promise.all([asking(), asking(), asking()]))]
      for (const outcome of outcomes) {
        must(first.granted && outcome.granted, "the same request was refused the second time")
        sameIn(outcome.reservation, { id: "a", expiresAt: first.reservation.expiresAt }, "the same request")
      }
      await shows(world, "after the same request five times", [{ scope: TENANT, held: 600 }])
    }),

    story("takes requests that differ in the order of their scopes alone as the same", async (world) => {
      await hold(world, "a", amount(600, 100), { tenant: "acme", user: "ada" })
      await hold(world, "a", amount(600, 100), { user: "ada", tenant: "acme" })
      await shows(world, "after both", [{ scope: TENANT, held: 600 }])
    }),

    story("shares no hold: the same id with another amount or other scopes is an error", async (world) => {
      await hold(world, "a", amount(10, 10))
      await rejects(() => ask(world, "a", amount(11, 10)), "another amount of money", "id")
      await rejects(() => ask(world, "a", amount(10, 11)), "another number of tokens", "id")
      await rejects(() => ask(world, "a", amount(10, 10), { ...SCOPES, tenant: "b" }), "another tenant", "id")
      await rejects(() => ask(world, "a", amount(10, 10), { tenant: "acme" }), "a scope less", "id")
      await shows(world, "after other requests under one id", [{ scope: TENANT, held: 10 }])
      await shows(world, "after another tenant's", [{ scope: "tenant:b", held: 0 }], { tenant: "b" })
    }),

    story("grants to two hundred at once exactly what fits", async (world) => {
      const ids = Array.from({ length: 200 }, (_, index) => `${index}`)
      const outcomes = await Promise.all(ids.map((id) => ask(world, id, amount(90, 7))))
      const granted = ids.filter((_, index) => outcomes[index]?.granted)
      must(granted.length === 11, `${granted.length} holds of 90 were granted under a limit of 1000; 11 fit`)
      await shows(world, "with all that fits", [
        { scope: TENANT, held: 990, spent: 0 },
        { scope: USER, held: 77, spent: 0 },
      ])
      await Promise.all(granted.map((id) => world.store.settle(id, amount(80, 5))))
      await shows(world, "after all were settled at once", [
        { scope: TENANT, held: 0, spent: 880, remaining: 120 },
        { scope: USER, held: 0, spent: 55 },
      ])
    }),

    story("never grants beyond the limit while others close", async (world) => {
      await Promise.all(
        Array.from({ length: 60 }, async (_, index) => {
          const outcome = await ask(world, `${index}`, amount(300, 1))
          if (!outcome.granted) return
          if (index % 3 === 0) await world.store.release(`${index}`)
          else await world.store.settle(`${index}`, amount(200, 1))
        }),
      )
      const [tenant] = await world.store.status(SCOPES)
      must(tenant?.held === 0, `${tenant?.held} are held after all was closed`)
      must(tenant.spent % 200 === 0 && tenant.spent <= 1_000, `${tenant.spent} were spent in pieces of 200`)
      must(tenant.overrun === 0, `${tenant.overrun} are called overrun`)
    }),
  ]
}

/** From the narrowest to the widest. */
const NESTED = ["request", "session", "user", "team", "project", "tenant", "global"] as const

/** 100 tokens for the narrowest, 100 more for each wider one. */
function nestedLimit(scope: string, index: number): BudgetLimit {
  return { scope, window: "total", tokens: (index + 1) * 100 }
}

/** Narrower scopes than the one at `index` are new each time, so that this one is the first to be full. */
function nestedScopes(index: number, own: string): Record<string, string> {
  return Object.fromEntries(NESTED.map((scope, at) => [scope, at < index ? own : "same"]))
}
