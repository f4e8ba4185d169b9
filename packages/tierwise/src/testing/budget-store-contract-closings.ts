import type { Closing } from "../spec/budget.ts"
import {
  amount,
  ask,
  type BudgetWorld,
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

const HOUR_MS = 3_600_000

/** What becomes of a hold, and what is booked without one. */
export function closingCases(make: MakeBudget): readonly ContractCase[] {
  const story = storiesOf(make)
  return [
    story("replaces the hold by what was spent", async (world) => {
      await hold(world, "a", amount(900, 100))
      closed(await world.store.settle("a", amount(250, 40)), { late: false }, amount(0, 0))
      await shows(world, "after a settlement", [
        { scope: TENANT, held: 0, spent: 250, unconfirmed: 0, overrun: 0, remaining: 750 },
        { scope: USER, held: 0, spent: 40, unconfirmed: 0, overrun: 0, remaining: 460 },
      ])
    }),

    story("books what was spent beyond the hold, and counts it apart", async (world) => {
      await hold(world, "a", amount(900, 100))
      closed(await world.store.settle("a", amount(1_200, 90)), { late: false }, amount(300, 0))
      await shows(world, "after an overrun", [
        { scope: TENANT, spent: 1_200, overrun: 300, held: 0, remaining: 0 },
        { scope: USER, spent: 90, overrun: 0, remaining: 410 },
      ])
      sameIn(
        await refused(world, "b", amount(1, 1)),
        { scope: TENANT, remaining: 0 },
        "beyond an overrun limit",
      )
    }),

    story("gives a released hold back", async (world) => {
      await hold(world, "a", amount(1_000, 500))
      closed(await world.store.release("a"), { late: false }, amount(0, 0))
      await shows(world, "after a release", [
        { scope: TENANT, held: 0, spent: 0, remaining: 1_000 },
        { scope: USER, held: 0, spent: 0, remaining: 500 },
      ])
    }),

    story("closes a hold once, however often and in whatever way it is closed", async (world) => {
      const { store } = world
      await hold(world, "a", amount(600, 100))
      await store.settle("a", amount(500, 90))
      nothing(await store.settle("a", amount(500, 90)), "a second settlement")
      nothing(await store.settle("a", amount(100, 10)), "a settlement of another amount")
      nothing(await store.release("a"), "a release after the settlement")
      await shows(world, "after the first settlement and others", [
        { scope: TENANT, spent: 500, held: 0 },
        { scope: USER, spent: 90, held: 0 },
      ])
      await hold(world, "b", amount(100, 10))
      await store.release("b")
      nothing(await store.release("b"), "a second release")
      nothing(await store.settle("b", amount(100, 10)), "a settlement after the release")
      await shows(world, "after a release and others", [{ scope: TENANT, spent: 500, held: 0 }])
    }),

    story("lets one of many closings at once have the hold", async (world) => {
      const { store } = world
      await hold(world, "a", amount(600, 100))
      const closings = await Promise.all([
        ...Array.from({ length: 5 }, () => store.settle("a", amount(500, 90))),
        ...Array.from({ length: 5 }, () => store.release("a")),
      ])
      const count = closings.filter((closing) => closing !== undefined).length
      must(count === 1, `${count} of ten closings at once had the hold`)
      const [tenant] = await store.status(SCOPES)
      must(tenant?.held === 0, `${tenant?.held} are held after ten closings at once`)
      must(tenant.spent === 500 || tenant.spent === 0, `${tenant.spent} were booked by ten closings at once`)
    }),

    story("books nothing for a hold that nobody knows", async (world) => {
      nothing(await world.store.settle("unknown", amount(500, 90)), "the settlement of an unknown hold")
      nothing(await world.store.release("unknown again"), "the release of an unknown hold")
      must(!(await world.store.extend("unknown for ever", 1_000)), "an unknown hold was extended")
      await shows(world, "after closing unknown holds", [{ scope: TENANT, spent: 0, held: 0 }])
    }),

    story("holds nothing for a reservation that comes again after it was closed", async (world) => {
      const { store } = world
      await hold(world, "settled", amount(600, 100))
      await store.settle("settled", amount(500, 90))
      await rejects(() => ask(world, "settled", amount(600, 100)), "a settled reservation")
      await hold(world, "released", amount(300, 100))
      await store.release("released")
      await rejects(() => ask(world, "released", amount(300, 100)), "a released reservation")
      await shows(world, "after both came again", [{ scope: TENANT, spent: 500, held: 0 }])
    }),

    story("holds nothing for a reservation that comes after its own release", async (world) => {
      nothing(await world.store.release("a"), "a release without a hold")
      await rejects(() => ask(world, "a", amount(600, 100)), "a reservation after its release")
      await shows(world, "after a release and its hold", [{ scope: TENANT, spent: 0, held: 0 }])
    }),

    story("books an expired hold at its quote, as unconfirmed", async (world) => {
      await hold(world, "a", amount(700, 100))
      world.clock.at += HOLD_TTL_MS - 1
      await shows(world, "a moment before it expires", [{ scope: TENANT, held: 700, spent: 0 }])
      world.clock.at += 1
      // It may have been billed: its money is not free again.
      sameIn(await refused(world, "b", amount(301)), { remaining: 300 }, "the refusal after a hold expired")
      await shows(world, "when it has expired", [
        { scope: TENANT, held: 0, spent: 700, unconfirmed: 700, overrun: 0, remaining: 300 },
        { scope: USER, held: 0, spent: 100, unconfirmed: 100, overrun: 0, remaining: 400 },
      ])
    }),

    story("corrects an expired hold when its settlement arrives late", async (world) => {
      await expired(world, "a")
      closed(await world.store.settle("a", amount(200, 130)), { late: true }, amount(0, 30))
      await shows(world, "after a late settlement", [
        { scope: TENANT, spent: 200, unconfirmed: 0, held: 0, overrun: 0 },
        { scope: USER, spent: 130, unconfirmed: 0, held: 0, overrun: 30 },
      ])
      nothing(await world.store.settle("a", amount(200, 130)), "a second late settlement")
    }),

    story("gives an expired hold back when its release arrives late", async (world) => {
      await expired(world, "a")
      closed(await world.store.release("a"), { late: true }, amount(0, 0))
      await shows(world, "after a late release", [{ scope: TENANT, spent: 0, unconfirmed: 0, held: 0 }])
    }),

    story("corrects an expired hold that nobody has looked at since", async (world) => {
      await hold(world, "a", amount(700, 100))
      world.clock.at += HOLD_TTL_MS + 1
      closed(await world.store.settle("a", amount(200, 30)), { late: true }, amount(0, 0))
      await shows(world, "after a late settlement", [{ scope: TENANT, spent: 200, unconfirmed: 0, held: 0 }])
    }),

    story("does not hold again for a reservation that has expired", async (world) => {
      await hold(world, "a", amount(300, 50))
      world.clock.at += HOLD_TTL_MS
      await ask(world, "a", amount(300, 50)).catch(() => {})
      await shows(world, "after it came again", [{ scope: TENANT, spent: 300, unconfirmed: 300, held: 0 }])
    }),

    story("keeps an extended hold alive", async (world) => {
      const { store, clock } = world
      await hold(world, "a", amount(700, 100))
      clock.at += HOLD_TTL_MS - 1
      must(await store.extend("a", HOLD_TTL_MS), "a live hold could not be extended")
      clock.at += HOLD_TTL_MS - 1
      await shows(world, "with an extended hold", [{ scope: TENANT, held: 700, spent: 0 }])
      clock.at += 1
      must(!(await store.extend("a", HOLD_TTL_MS)), "an expired hold was extended")
      await shows(world, "when it has expired", [{ scope: TENANT, held: 0, unconfirmed: 700 }])
    }),

    story("lets the latest extension count, also a shorter one", async (world) => {
      const { store, clock } = world
      await hold(world, "a", amount(700, 100))
      await store.extend("a", 10 * HOLD_TTL_MS)
      await store.extend("a", 10)
      clock.at += 10
      await shows(world, "after the shorter extension", [{ scope: TENANT, held: 0, unconfirmed: 700 }])
    }),

    story("extends no hold that is closed", async (world) => {
      await hold(world, "a", amount(700, 100))
      await world.store.release("a")
      must(!(await world.store.extend("a", 1_000)), "a released hold was extended")
    }),

    story("books what was spent without a hold, as overrun, and never refuses it", async (world) => {
      await hold(world, "a", amount(900, 100))
      await book(world, "b", 800)
      await shows(world, "after a booking beyond the limit", [
        { scope: TENANT, spent: 800, overrun: 800, held: 900, unconfirmed: 0, remaining: 0 },
        { scope: USER, spent: 5, overrun: 5, held: 100, remaining: 395 },
      ])
      await refused(world, "c", amount(1))
    }),

    story("books the same id once", async (world) => {
      await book(world, "b", 300)
      await book(world, "b", 300)
      await Promise.all([book(world, "c", 40), book(world, "c", 40), book(world, "c", 40)])
      await shows(world, "after five bookings of two ids", [{ scope: TENANT, spent: 340, overrun: 340 }])
    }),

    story(
      "remembers what a request has spent while money is held for it, and for an hour after",
      async (world) => {
        const { store, clock } = world
        const request = { request: "job" }
        await hold(world, "long", amount(0, 60), request)
        must(await store.extend("long", 3 * HOUR_MS), "a live hold could not be extended")
        clock.at += 2 * HOUR_MS
        await others(world)
        sameIn(await refused(world, "a", amount(0, 41), request), { remaining: 40 }, "with a long call")
        await store.settle("long", amount(0, 50))
        clock.at += HOUR_MS - 1
        await others(world)
        sameIn(await refused(world, "b", amount(0, 51), request), { remaining: 50 }, "after a long call")
        await hold(world, "next", amount(0, 10), request)
        clock.at += HOLD_TTL_MS - 1
        await store.settle("next", amount(0, 10))
        clock.at += HOUR_MS - 1
        await others(world)
        await store.book({ id: "beside", scopes: request, amount: amount(0, 5) })
        clock.at += HOUR_MS - 1
        await others(world)
        await shows(world, "an hour later", [{ scope: "request:job", spent: 65, held: 0 }], request)
        await hold(world, "lost", amount(0, 30), request)
        clock.at += HOLD_TTL_MS
        await others(world)
        clock.at += HOUR_MS - 1
        await others(world)
        sameIn(await refused(world, "c", amount(0, 6), request), { remaining: 5 }, "after a lost call")
        must((await store.settle("lost", amount(0, 25)))?.late === true, "an expired hold was not late")
        clock.at += HOUR_MS - 1
        await others(world)
        await shows(world, "after a late settlement", [{ scope: "request:job", spent: 90 }], request)
      },
      { limits: [{ scope: "request", tokens: 100 }] },
    ),

    story("shows in every scope the same sum for the same traffic", async (world) => {
      const { store, clock } = world
      for (const [index, kind] of ["settle", "release", "expire", "book", "hold"].entries()) {
        const cost = amount(10 + index, 10 + index)
        if (kind === "book") await store.book({ id: kind, scopes: SCOPES, amount: cost })
        else await hold(world, kind, cost)
        if (kind === "settle") await store.settle(kind, amount(9, 9))
        if (kind === "release") await store.release(kind)
        if (kind === "expire") clock.at += HOLD_TTL_MS
      }
      const sums = { spent: 9 + 12 + 13, held: 14, unconfirmed: 12, overrun: 13 }
      await shows(world, "after one of each", [
        { scope: TENANT, ...sums },
        { scope: USER, ...sums },
      ])
    }),

    story("goes on when its clock goes backwards", async (world) => {
      const { store, clock } = world
      await hold(world, "a", amount(400, 100))
      clock.at = NOON - 3_600_000
      await hold(world, "b", amount(400, 100))
      await refused(world, "c", amount(300))
      await shows(world, "an hour earlier", [{ scope: TENANT, held: 800, spent: 0 }])
      await store.settle("a", amount(300, 50))
      clock.at = NOON
      await store.settle("b", amount(300, 50))
      await shows(world, "after both were settled", [{ scope: TENANT, held: 0, spent: 600 }])
    }),
  ]
}

function closed(
  closing: Closing | undefined,
  expected: Pick<Closing, "late">,
  overrun: Closing["overrun"],
): void {
  must(closing !== undefined, "a hold that was there could not be closed")
  sameIn(closing, expected, "the closing")
  sameIn(closing.overrun, overrun, "the overrun")
}

function nothing(closing: Closing | undefined, what: string): void {
  must(closing === undefined, `${what} closed something: ${JSON.stringify(closing)}`)
}

/** Calls of other requests: a store takes what it may forget out of its way when it has something to do. */
async function others(world: BudgetWorld): Promise<void> {
  for (let call = 0; call < 30; call++) {
    const id = crypto.randomUUID()
    await hold(world, id, amount(0, 1), { request: id })
    await world.store.settle(id, amount(0, 1))
  }
}

/** 700 NanoUsd and 100 tokens, booked as unconfirmed. */
async function expired(world: BudgetWorld, id: string): Promise<void> {
  await hold(world, id, amount(700, 100))
  world.clock.at += HOLD_TTL_MS
  await shows(world, "when it has expired", [{ scope: TENANT, unconfirmed: 700 }])
}

function book({ store }: BudgetWorld, id: string, money: number): Promise<void> {
  return store.book({ id, scopes: SCOPES, amount: amount(money, 5) })
}
