import type { BudgetWarning } from "../spec/budget.ts"
import {
  amount,
  type BudgetWorld,
  HOLD_TTL_MS,
  hold,
  type MakeBudget,
  refused,
  sameIn,
  shows,
  storiesOf,
} from "./budget-store-contract-subject.ts"
import { type ContractCase, must } from "./contract.ts"

const DAY_MS = 86_400_000

const A_HUNDRED_A_DAY = { limits: [{ scope: "tenant", window: "day", tokens: 100 }] } as const

const BAD_LISTENERS: readonly (readonly [what: string, listener: () => void])[] = [
  [
    "it throws",
    () => {
      throw new Error("nobody home")
    },
  ],
  ["it rejects", () => Promise.reject(new Error("nobody home"))],
  ["it never answers", () => new Promise(() => {})],
]

/** Who is told, and how often. */
export function warningCases(make: MakeBudget): readonly ContractCase[] {
  const story = storiesOf(make)
  return [
    story(
      "warns at 80 and at 95 percent, each once",
      async (world) => {
        await spend(world, 79)
        told(world, [])
        await spend(world, 1)
        told(world, [0.8])
        const warning = world.warnings[0] as BudgetWarning
        const limit = { scope: "tenant:acme", window: "day", unit: "tokens", limit: 100 } as const
        sameIn(warning, { ...limit, spent: 80, resetsAt: Date.UTC(2026, 0, 16) }, "the warning")
        await spend(world, 14)
        told(world, [0.8])
        await spend(world, 1)
        told(world, [0.8, 0.95])
        await spend(world, 5)
        await shows(world, "with all spent", [{ scope: "tenant:acme", spent: 100 }])
        told(world, [0.8, 0.95])
      },
      A_HUNDRED_A_DAY,
    ),

    story(
      "tells of both shares when one settlement jumps over both",
      async (world) => {
        await spend(world, 100)
        told(world, [0.8, 0.95])
      },
      A_HUNDRED_A_DAY,
    ),

    story(
      "warns of nothing that is only held",
      async (world) => {
        await hold(world, "a", amount(0, 100))
        told(world, [])
        await world.store.release("a")
        told(world, [])
      },
      A_HUNDRED_A_DAY,
    ),

    story(
      "warns again in the next window",
      async (world) => {
        await spend(world, 90)
        world.clock.at += DAY_MS
        await spend(world, 10)
        told(world, [0.8])
        await spend(world, 75)
        told(world, [0.8, 0.8])
      },
      A_HUNDRED_A_DAY,
    ),

    story(
      "warns once when many are settled at the same moment",
      async (world) => {
        const ids = Array.from({ length: 40 }, (_, index) => `${index}`)
        await Promise.all(ids.map((id) => hold(world, id, amount(0, 2), { tenant: "acme" })))
        await Promise.all(ids.map((id) => world.store.settle(id, amount(0, 2))))
        told(world, [0.8])
      },
      A_HUNDRED_A_DAY,
    ),

    story(
      "warns of what was booked without a hold",
      async (world) => {
        await world.store.book({ id: "a", scopes: { tenant: "acme" }, amount: amount(0, 96) })
        told(world, [0.8, 0.95])
      },
      A_HUNDRED_A_DAY,
    ),

    story(
      "warns of holds that have expired when it refuses for them",
      async (world) => {
        await hold(world, "a", amount(0, 96), { tenant: "acme" })
        world.clock.at += HOLD_TTL_MS
        await refused(world, "b", amount(0, 5), { tenant: "acme" })
        told(world, [0.8, 0.95])
      },
      A_HUNDRED_A_DAY,
    ),

    story(
      "warns of a late settlement that is more than what was held",
      async (world) => {
        await hold(world, "a", amount(0, 70), { tenant: "acme" })
        world.clock.at += HOLD_TTL_MS
        await world.store.settle("a", amount(0, 85))
        told(world, [0.8])
      },
      A_HUNDRED_A_DAY,
    ),

    story(
      "warns of money in billionths of a dollar",
      async (world) => {
        await world.store.book({ id: "a", scopes: { tenant: "acme" }, amount: amount(800) })
        const limit = { unit: "NanoUsd", limit: 1_000, spent: 800, share: 0.8 } as const
        sameIn(world.warnings[0] as BudgetWarning, limit, "the warning")
      },
      { limits: [{ scope: "tenant", window: "day", usd: 1e-6 }] },
    ),

    ...BAD_LISTENERS.map(([what, listener]) =>
      story(
        `books whatever its listener does: ${what}`,
        async (world) => {
          await spend(world, 96)
          await world.store.book({ id: "beside", scopes: { tenant: "acme" }, amount: amount(0, 2) })
          await shows(world, "after both", [{ scope: "tenant:acme", spent: 98, held: 0 }])
          told(world, [0.8, 0.95])
        },
        { ...A_HUNDRED_A_DAY, listener },
      ),
    ),

    story(
      "warns at the shares it was given, of each limit apart",
      async (world) => {
        await hold(world, "a", amount(0, 60), { tenant: "acme", user: "ada" })
        await world.store.settle("a", amount(0, 60))
        const said = world.warnings.map(({ scope, share }) => `${scope} ${share}`)
        const expected = ["tenant:acme 0.5", "user:ada 0.1", "user:ada 0.2"]
        must(said.sort().join() === expected.join(), `warned of ${said.join()}, not of ${expected.join()}`)
      },
      {
        limits: [
          { scope: "tenant", window: "day", tokens: 100, warnAt: [0.5] },
          { scope: "user", window: "day", tokens: 200, warnAt: [0.1, 0.2, 1] },
          { scope: "global", window: "day", tokens: 60, warnAt: [] },
        ],
      },
    ),
  ]
}

/** Holds and settles. */
async function spend(world: BudgetWorld, tokens: number): Promise<void> {
  const id = crypto.randomUUID()
  await hold(world, id, amount(0, tokens), { tenant: "acme" })
  await world.store.settle(id, amount(0, tokens))
}

function told({ warnings }: BudgetWorld, shares: readonly number[]): void {
  const said = warnings.map(({ share }) => share)
  must(
    said.join() === shares.join(),
    `warned at ${said.join() || "no share"}, not at ${shares.join() || "none"}`,
  )
}
