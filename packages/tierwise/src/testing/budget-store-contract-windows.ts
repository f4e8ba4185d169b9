import type { BudgetWindow } from "../spec/budget.ts"
import {
  amount,
  HOLD_TTL_MS,
  hold,
  type MakeBudget,
  refused,
  sameIn,
  shows,
  storiesOf,
} from "./budget-store-contract-subject.ts"
import { type ContractCase, must } from "./contract.ts"

const WINDOWS = ["minute", "hour", "day", "week", "month", "total"] as const

const ALL = "global:all"

interface TurnCase {
  readonly what: string
  readonly window: BudgetWindow
  readonly timeZone: string
  /** ISO 8601. */
  readonly at: string
  readonly start: string
  readonly end: string
}

const BERLIN = "Europe/Berlin"

/** Berlin sets its clocks ahead on 29 March 2026 at 01:00 UTC, and back on 25 October 2026 at 01:00 UTC. */
const TURNS: readonly TurnCase[] = [
  {
    what: "a minute",
    window: "minute",
    timeZone: "UTC",
    at: "2026-01-15T12:34:56.789Z",
    start: "2026-01-15T12:34:00Z",
    end: "2026-01-15T12:35:00Z",
  },
  {
    what: "an hour, where hours begin at half past",
    window: "hour",
    timeZone: "Asia/Kolkata",
    at: "2026-01-15T12:15:00Z",
    start: "2026-01-15T11:30:00Z",
    end: "2026-01-15T12:30:00Z",
  },
  {
    what: "the hour before the clocks are set ahead",
    window: "hour",
    timeZone: BERLIN,
    at: "2026-03-29T00:59:00Z",
    start: "2026-03-29T00:00:00Z",
    end: "2026-03-29T01:00:00Z",
  },
  {
    what: "a day",
    window: "day",
    timeZone: "America/New_York",
    at: "2026-01-15T04:00:00Z",
    start: "2026-01-14T05:00:00Z",
    end: "2026-01-15T05:00:00Z",
  },
  {
    what: "the day of 23 hours",
    window: "day",
    timeZone: BERLIN,
    at: "2026-03-29T12:00:00Z",
    start: "2026-03-28T23:00:00Z",
    end: "2026-03-29T22:00:00Z",
  },
  {
    what: "the day of 25 hours",
    window: "day",
    timeZone: BERLIN,
    at: "2026-10-25T12:00:00Z",
    start: "2026-10-24T22:00:00Z",
    end: "2026-10-25T23:00:00Z",
  },
  {
    what: "the day that has two midnights",
    window: "day",
    timeZone: "Atlantic/Azores",
    at: "2026-10-25T12:00:00Z",
    start: "2026-10-25T00:00:00Z",
    end: "2026-10-26T01:00:00Z",
  },
  {
    what: "a week, which begins on Monday, with a clock change",
    window: "week",
    timeZone: BERLIN,
    at: "2026-03-29T12:00:00Z",
    start: "2026-03-22T23:00:00Z",
    end: "2026-03-29T22:00:00Z",
  },
  {
    what: "a month with a clock change",
    window: "month",
    timeZone: BERLIN,
    at: "2026-03-31T21:59:59Z",
    start: "2026-02-28T23:00:00Z",
    end: "2026-03-31T22:00:00Z",
  },
  {
    what: "the last month of a year",
    window: "month",
    timeZone: "UTC",
    at: "2026-12-31T23:00:00Z",
    start: "2026-12-01T00:00:00Z",
    end: "2027-01-01T00:00:00Z",
  },
]

/** When a limit begins anew. */
export function windowCases(make: MakeBudget): readonly ContractCase[] {
  const story = storiesOf(make)
  const turns = TURNS.map(({ what, window, timeZone, at, start, end }) =>
    story(
      `begins anew with ${what} (${timeZone})`,
      async (world) => {
        const { store, clock } = world
        const [startedAt, resetsAt] = [Date.parse(start), Date.parse(end)]
        clock.at = Date.parse(at)
        await hold(world, "a", amount(0, 100))
        await store.settle("a", amount(0, 100))
        for (const inside of [startedAt, resetsAt - 1]) {
          clock.at = inside
          const when = `at ${new Date(inside).toISOString()}`
          sameIn(await refused(world, "b", amount(0, 1)), { window, remaining: 0, resetsAt }, when)
          await shows(world, when, [{ scope: ALL, window, spent: 100, startedAt, resetsAt }])
        }
        clock.at = resetsAt
        await shows(world, `at ${end}`, [{ scope: ALL, spent: 0, remaining: 100, startedAt: resetsAt }])
        await hold(world, "c", amount(0, 100))
      },
      { limits: [{ scope: "global", window, tokens: 100 }], timeZone },
    ),
  )
  return [
    ...turns,

    story(
      "keeps windows apart that begin at the same moment",
      async (world) => {
        // The first of a month, and a Monday.
        world.clock.at = Date.UTC(2026, 5, 1)
        await hold(world, "a", amount(0, 60))
        await shows(
          world,
          "where all begin",
          WINDOWS.map((window, index) => ({ scope: ALL, window, held: 60, limit: 100 + index })),
        )
        sameIn(await refused(world, "b", amount(0, 41)), { window: "minute", remaining: 40 }, "the refusal")
      },
      { limits: WINDOWS.map((window, index) => ({ scope: "global", window, tokens: 100 + index })) },
    ),

    story(
      "never begins anew in a total window",
      async (world) => {
        const { store, clock } = world
        await hold(world, "a", amount(0, 100))
        await store.settle("a", amount(0, 60))
        clock.at += 400 * 86_400_000
        sameIn(
          await refused(world, "b", amount(0, 41)),
          { remaining: 40, resetsAt: undefined },
          "a year later",
        )
        const never = { startedAt: undefined, resetsAt: undefined }
        await shows(world, "a year later", [{ scope: ALL, spent: 60, window: "total", ...never }])
      },
      { limits: [{ scope: "global", window: "total", tokens: 100 }] },
    ),

    story("settles in the window that the hold was made in", async (world) => {
      const { store, clock } = world
      clock.at = MIDNIGHT - 1_000
      await hold(world, "a", amount(900, 100))
      await hold(world, "b", amount(50, 100))
      await hold(world, "c", amount(50, 100))
      clock.at = MIDNIGHT
      await shows(world, "at midnight", [{ scope: "tenant:acme", held: 0, spent: 0, remaining: 1_000 }])
      await hold(world, "d", amount(1_000, 100))
      const closing = await store.settle("a", amount(950, 100))
      must(closing !== undefined && !closing.late, "a hold of yesterday could not be settled")
      await store.release("b")
      await shows(world, "after yesterday was settled", [{ scope: "tenant:acme", held: 1_000, spent: 0 }])
      clock.at = MIDNIGHT - 1_000
      await shows(world, "back in yesterday", [
        { scope: "tenant:acme", held: 50, spent: 950, overrun: 50, remaining: 0 },
      ])
    }),

    story("books an expired hold in the window that it was made in", async (world) => {
      const { store, clock } = world
      clock.at = MIDNIGHT - 1_000
      await hold(world, "a", amount(900, 100))
      clock.at = MIDNIGHT - 1_000 + HOLD_TTL_MS
      await shows(world, "after midnight", [{ scope: "tenant:acme", held: 0, spent: 0, unconfirmed: 0 }])
      const closing = await store.settle("a", amount(500, 50))
      must(closing?.late === true, "a hold that expired after midnight was not late")
      await shows(world, "after a late settlement", [{ scope: "tenant:acme", held: 0, spent: 0 }])
      clock.at = MIDNIGHT - 1
      await shows(world, "back in yesterday", [{ scope: "tenant:acme", held: 0, spent: 500, unconfirmed: 0 }])
    }),

    story("books without a hold in the present window", async (world) => {
      const { store, clock } = world
      clock.at = MIDNIGHT - 1_000
      await store.book({ id: "a", scopes: { tenant: "acme" }, amount: amount(100) })
      clock.at = MIDNIGHT
      await store.book({ id: "b", scopes: { tenant: "acme" }, amount: amount(20) })
      await store.book({ id: "a", scopes: { tenant: "acme" }, amount: amount(100) })
      await shows(world, "after midnight", [{ scope: "tenant:acme", spent: 20, overrun: 20 }])
    }),

    story("keeps both days apart when its clock goes back over midnight", async (world) => {
      const { store, clock } = world
      clock.at = MIDNIGHT + 10
      await hold(world, "new day", amount(1_000, 100))
      clock.at = MIDNIGHT - 10
      await hold(world, "old day", amount(1_000, 100))
      await refused(world, "old day, full", amount(1))
      clock.at = MIDNIGHT + 20
      await refused(world, "new day, full", amount(1))
      await store.settle("old day", amount(300, 50))
      await store.settle("new day", amount(200, 50))
      await shows(world, "in the new day", [{ scope: "tenant:acme", held: 0, spent: 200 }])
      clock.at = MIDNIGHT - 10
      await shows(world, "in the old day", [{ scope: "tenant:acme", held: 0, spent: 300 }])
    }),
  ]
}

const MIDNIGHT = Date.UTC(2026, 0, 16)
