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

const HOUR_MS = 3_600_000

const spentSixty = <T extends object>(counter: T) => ({ ...counter, spent: 60, overrun: 60 })

/** Holds that nobody has closed: more than a store books in one step. */
const AN_OUTAGE = 150

/** How many calls come between: more than a store would remember by number alone. */
const OTHER_CALLS = 200

/** What one id stands for, and for how long; what is the caller's own; and how a store ends. */
export function identityCases(make: MakeBudget): readonly ContractCase[] {
  const story = storiesOf(make)
  return [
    story("keeps apart what differs in case alone", async (world) => {
      const { store } = world
      await hold(world, "call", amount(300), { tenant: "acme" })
      await hold(world, "CALL", amount(900), { tenant: "Acme" })
      must((await store.settle("Call", amount(1))) === undefined, "a hold was settled by another id")
      await store.settle("CALL", amount(800))
      await shows(world, "of acme", [{ scope: "tenant:acme", held: 300, spent: 0 }], { tenant: "acme" })
      await shows(world, "of Acme", [{ scope: "tenant:Acme", held: 0, spent: 800 }], { tenant: "Acme" })
      await store.book({ id: "beside", scopes: { tenant: "acme" }, amount: amount(10) })
      await store.book({ id: "BESIDE", scopes: { tenant: "acme" }, amount: amount(20) })
      await shows(world, "after two bookings", [{ scope: "tenant:acme", spent: 30 }], { tenant: "acme" })
    }),

    story("keeps apart what differs in blanks alone", async (world) => {
      await hold(world, "a", amount(300), { tenant: "acme" })
      await hold(world, "a ", amount(900), { tenant: "acme " })
      await hold(world, " a", amount(800), { tenant: " acme" })
      await shows(world, "of the first", [{ scope: "tenant:acme", held: 300 }], { tenant: "acme" })
      await shows(world, "of the second", [{ scope: "tenant:acme ", held: 900 }], { tenant: "acme " })
    }),

    story("holds nothing for a closed reservation that comes again seconds later", async (world) => {
      const { store, clock } = world
      await hold(world, "settled", amount(600, 100))
      await store.settle("settled", amount(500, 90))
      await hold(world, "released", amount(300, 100))
      await store.release("released")
      for (const seconds of [5, 50]) {
        clock.at = NOON + seconds * 1_000
        await rejects(() => ask(world, "settled", amount(600, 100)), `a settled one, ${seconds} s later`)
        await rejects(() => ask(world, "released", amount(300, 100)), `a released one, ${seconds} s later`)
      }
      await shows(world, "after both came again", [{ scope: TENANT, spent: 500, held: 0 }])
    }),

    story("holds nothing for a reservation that comes after its own settlement", async (world) => {
      const closing = await world.store.settle("a", amount(500, 90))
      must(closing === undefined, "a settlement without a hold closed something")
      await rejects(() => ask(world, "a", amount(600, 100)), "a reservation after its settlement")
      await shows(world, "after a settlement and its hold", [{ scope: TENANT, spent: 0, held: 0 }])
    }),

    story("books an id once, also hours and many calls later", async (world) => {
      const { store, clock } = world
      const booking = { id: "beside", scopes: SCOPES, amount: amount(100, 5) }
      await store.book(booking)
      await store.settle(booking.id, amount(1))
      for (const hours of [0.02, 1, 11.9]) {
        clock.at = NOON + hours * HOUR_MS
        for (let call = 0; call < OTHER_CALLS; call++) await store.release(crypto.randomUUID())
        await store.book(booking)
        await shows(world, `${hours} hours later`, [{ scope: TENANT, spent: 100, overrun: 100 }])
      }
      // The next day has counters of its own, in which it would be new.
      clock.at = NOON + 23.5 * HOUR_MS
      await store.book(booking)
      await shows(world, "the next day", [{ scope: TENANT, spent: 0, overrun: 0 }])
    }),

    story("books the first amount of an id, whatever comes later under it", async (world) => {
      const { store } = world
      await store.book({ id: "a", scopes: SCOPES, amount: amount(100, 5) })
      await store.book({ id: "a", scopes: SCOPES, amount: amount(300, 50) })
      await store.book({ id: "a", scopes: { tenant: "other" }, amount: amount(300, 50) })
      await shows(world, "after three bookings of one id", [
        { scope: TENANT, spent: 100, overrun: 100 },
        { scope: USER, spent: 5, overrun: 5 },
      ])
      await shows(world, "of the other", [{ scope: "tenant:other", spent: 0 }], { tenant: "other" })
    }),

    story(
      "books also what names no scope",
      async (world) => {
        await world.store.book({ id: "a", scopes: {}, amount: amount(0, 60) })
        await shows(
          world,
          "after it",
          [{ scope: "global:all" }, { scope: "tenant:default" }].map(spentSixty),
          {},
        )
      },
      {
        limits: ["global", "tenant"].map((scope) => ({ scope, window: "day" as const, tokens: 100 })),
      },
    ),

    story("extends to the millisecond, and for longer than a day", async (world) => {
      const { store, clock } = world
      await hold(world, "short", amount(100))
      await hold(world, "long", amount(200), { tenant: "long" })
      must(await store.extend("short", 1_999), "a live hold could not be extended")
      must(await store.extend("long", 50 * HOUR_MS), "a live hold could not be extended")
      clock.at += 1_998
      await shows(world, "a moment before it expires", [{ scope: TENANT, held: 100, unconfirmed: 0 }])
      clock.at += 1
      await shows(world, "when it has expired", [{ scope: TENANT, held: 0, unconfirmed: 100 }])
      clock.at = NOON + 50 * HOUR_MS - 1
      const closing = await store.settle("long", amount(150))
      must(closing?.late === false, "a hold that was extended for 50 hours is over before")
    }),

    story("gives holds and bookings one space of ids", async (world) => {
      const { store } = world
      await store.book({ id: "booked", scopes: SCOPES, amount: amount(100, 5) })
      await rejects(() => ask(world, "booked", amount(100, 5)), "a hold under a booked id")
      const closings = [await store.settle("booked", amount(90, 5)), await store.release("booked")]
      must(
        closings.every((closing) => closing === undefined),
        "a booked id was closed like a hold",
      )
      must(!(await store.extend("booked", HOLD_TTL_MS)), "a booked id was extended like a hold")
      await hold(world, "held", amount(200, 5))
      await store.book({ id: "held", scopes: SCOPES, amount: amount(70, 5) })
      await shows(world, "after a booking under the id of a hold", [
        { scope: TENANT, spent: 100, held: 200, overrun: 100 },
      ])
      await store.settle("held", amount(150, 5))
      await store.book({ id: "held", scopes: SCOPES, amount: amount(70, 5) })
      await shows(world, "and under that of a closed one", [{ scope: TENANT, spent: 250, overrun: 100 }])
    }),

    story("tells how far each unit went beyond its hold, in time and late", async (world) => {
      const { store, clock } = world
      await hold(world, "in time", amount(100, 10))
      await hold(world, "late", amount(100, 10))
      const inTime = await store.settle("in time", amount(90, 17))
      sameIn(inTime?.overrun ?? {}, { ...amount(0, 7) }, "the overrun of tokens, in time")
      clock.at += HOLD_TTL_MS
      const late = await store.settle("late", amount(130, 10))
      must(late?.late === true, "a hold that expired was not late")
      sameIn(late.overrun, amount(30, 0), "the overrun of money, late")
      await shows(world, "after both", [
        { scope: TENANT, spent: 220, overrun: 30, unconfirmed: 0 },
        { scope: USER, spent: 27, overrun: 7, unconfirmed: 0 },
      ])
    }),

    story(
      "keeps 25 limits at once",
      async (world) => {
        await hold(world, "a", amount(0, 100), {})
        await world.store.settle("a", amount(0, 60))
        const statuses = await world.store.status({})
        must(statuses.length === 25, `the status lists ${statuses.length} limits, not 25`)
        must(
          statuses.every(({ spent }) => spent === 60),
          "not every limit has counted the call",
        )
        sameIn(await refused(world, "b", amount(0, 41), {}), { scope: "part 0:default", remaining: 40 }, "b")
      },
      {
        limits: Array.from({ length: 25 }, (_, index) => ({
          scope: `part ${index}`,
          window: "day" as const,
          tokens: 100 + index,
        })),
      },
    ),

    story("keeps what it was given, whatever its caller makes of it afterwards", async (world) => {
      const { store } = world
      const [scopes, wanted] = [{ ...SCOPES }, { ...amount(400, 40) }]
      const asked = store.reserve({ id: "a", scopes, amount: wanted })
      Object.assign(scopes, { tenant: "other" })
      Object.assign(wanted, amount(1, 1))
      const outcome = await asked
      must(outcome.granted, "a hold that fits was refused")
      sameIn(outcome.reservation.amount, amount(400, 40), "the reservation")
      Object.assign(wanted, amount(7, 7))
      sameIn(outcome.reservation.amount, amount(400, 40), "the reservation, later")
      await shows(world, "with the hold", [
        { scope: TENANT, held: 400 },
        { scope: USER, held: 40 },
      ])
      const spent = { ...amount(450, 30) }
      const settled = store.settle("a", spent)
      Object.assign(spent, amount(9, 9))
      sameIn((await settled)?.overrun ?? {}, { ...amount(50, 0) }, "the overrun")
      const booked = { ...amount(20, 2) }
      const booking = store.book({ id: "b", scopes: SCOPES, amount: booked })
      Object.assign(booked, amount(9, 9))
      await booking
      await shows(world, "after a settlement and a booking", [
        { scope: TENANT, held: 0, spent: 470, overrun: 70 },
        { scope: USER, held: 0, spent: 32, overrun: 2 },
      ])
      await shows(world, "of the other", [{ scope: "tenant:other", held: 0 }], { tenant: "other" })
    }),

    story(
      "leaves no money held for a hold that is closed a day too late, before anybody has looked at it",
      async (world) => {
        const { store, clock } = world
        const ids = Array.from({ length: AN_OUTAGE }, (_, index) => `${1_000 + index}`)
        await Promise.all(ids.map((id) => hold(world, id, amount(0, 1), {})))
        clock.at += HOLD_TTL_MS + 25 * HOUR_MS
        await store.settle(ids.at(-1) as string, amount(0, 1))
        await store.release(ids.at(-2) as string)
        for (let look = 0; look < AN_OUTAGE / 10; look++) await store.status({})
        await shows(world, "when all have expired", [{ scope: "global:all", held: 0 }], {})
        await hold(world, "next", amount(0, 1), {})
        await store.release("next")
        await shows(world, "after another call", [{ scope: "global:all", held: 0 }], {})
      },
      { limits: [{ scope: "global", window: "total", tokens: 1_000 }] },
    ),

    story("has a name, the same each time", async ({ store }) => {
      const { name } = store
      must(typeof name === "string" && name !== "", "the store has no name")
      must(store.name === name, `the store is named ${name}, and then ${store.name}`)
    }),

    story("can be closed twice", async (world) => {
      await hold(world, "a", amount(10))
      await world.store.settle("a", amount(10))
      await world.store.close()
      await world.store.close()
    }),
  ]
}
