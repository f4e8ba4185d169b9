import { sameIn } from "./budget-store-contract-subject.ts"
import { type ContractCase, must } from "./contract.ts"
import {
  knows,
  LONG_MS,
  type MakeHealthStore,
  mustBeLeft,
  SHORT_MS,
  storiesOf,
} from "./health-store-contract-subject.ts"

/** How long a target is left alone, and who says that it need not be. */
export function cooldownCases(make: MakeHealthStore): readonly ContractCase[] {
  const story = storiesOf(make)
  return [
    story("keeps the longest pause, with its reason", async ({ store }) => {
      const first = await store.cool("a", LONG_MS, "rate-limited: 5 a minute")
      sameIn(first, { key: "a", isCalledOff: false, because: "rate-limited: 5 a minute" }, "the first")
      mustBeLeft(first.forMs, LONG_MS, "the first pause")
      const shorter = await store.cool("a", SHORT_MS, "overloaded")
      sameIn(shorter, { version: first.version, because: first.because }, "after a shorter one")
      mustBeLeft(shorter.forMs, LONG_MS, "after a shorter one, the pause")
      const longer = await store.cool("a", 10 * LONG_MS, "quota-exhausted")
      sameIn(longer, { because: "quota-exhausted" }, "after a longer one")
      must(longer.version > first.version, "the version did not grow with a longer pause")
      mustBeLeft(longer.forMs, 10 * LONG_MS, "after a longer one, the pause")
    }),

    story("says of a pause that is over that it is over, not that it was called off", async (under) => {
      const { store, passed } = under
      await store.cool("a", SHORT_MS, "overloaded")
      await passed(SHORT_MS)
      for (const pause of (await store.changesSince(0)).cooldowns) {
        sameIn(pause, { forMs: 0, isCalledOff: false }, "a pause that is over")
      }
      const next = await store.cool("a", LONG_MS, "rate-limited")
      mustBeLeft(next.forMs, LONG_MS, "the next pause")
    }),

    story("calls a pause off, for all to hear", async ({ store }) => {
      const { version } = await store.cool("a", LONG_MS, "overloaded")
      const off = await store.warm("a")
      sameIn(off, { key: "a", forMs: 0, isCalledOff: true }, "the answer")
      must(off.version > version, "the version did not grow")
      const { cooldowns } = await store.changesSince(version)
      must(cooldowns.length === 1, `${cooldowns.length} changes are told`)
      await knows(store, "afterwards", "a", { cooldown: { forMs: 0, isCalledOff: true } })
    }),

    story("pauses again after one that was called off", async ({ store }) => {
      await store.cool("a", LONG_MS, "overloaded")
      await store.warm("a")
      const next = await store.cool("a", SHORT_MS, "rate-limited")
      sameIn(next, { isCalledOff: false, because: "rate-limited" }, "the next pause")
    }),

    story("changes nothing by calling off what is no pause", async ({ store, passed }) => {
      sameIn(await store.warm("a"), { key: "a", forMs: 0, isCalledOff: false }, "one that never was")
      await store.cool("b", SHORT_MS, "overloaded")
      await store.cool("c", LONG_MS, "overloaded")
      const { version } = await store.warm("c")
      await passed(SHORT_MS)
      sameIn(await store.warm("b"), { key: "b", forMs: 0, isCalledOff: false }, "one that is over")
      sameIn(await store.warm("c"), { version, isCalledOff: true }, "one that was called off")
      const changes = await store.changesSince(0)
      must(changes.version === version, "the version grew though nothing changed")
    }),

    story("leaves circuits as they are", async ({ store }) => {
      const { circuit } = await store.tripped("a", { known: 0, openForMs: LONG_MS })
      await store.cool("a", LONG_MS, "overloaded")
      await store.warm("a")
      await knows(store, "afterwards", "a", { circuit: { version: circuit.version, state: "open" } })
    }),
  ]
}

/** What is told to whoever asks what is new. */
export function changeCases(make: MakeHealthStore): readonly ContractCase[] {
  const story = storiesOf(make)
  return [
    story("knows nothing at first", async ({ store }) => {
      const { circuits, cooldowns } = await store.changesSince(0)
      must(circuits.length + cooldowns.length === 0, "a fresh store knows something")
    }),

    story("tells each change once, as it is now, to whoever asks on from there", async ({ store }) => {
      await store.tripped("a", { known: 0, openForMs: LONG_MS })
      const first = await store.changesSince(0)
      must(first.circuits.length === 1 && first.cooldowns.length === 0, "the opening is not told alone")
      await store.cool("b", LONG_MS, "overloaded")
      await store.cool("b", 10 * LONG_MS, "rate-limited")
      const next = await store.changesSince(first.version)
      must(next.circuits.length === 0, "the opening is told once more")
      must(next.cooldowns.length === 1, `the pause is told ${next.cooldowns.length} times`)
      sameIn(next.cooldowns[0] as object, { key: "b", because: "rate-limited" }, "the pause")
      const last = await store.changesSince(next.version)
      sameIn(last, { version: next.version }, "when nothing is new")
      must(last.circuits.length + last.cooldowns.length === 0, "something is told though nothing is new")
    }),

    story("gives each change a version of its own", async ({ store }) => {
      const keys = Array.from({ length: 40 }, (_, index) => `target-${index}`)
      const steps = await Promise.all(
        keys.map(async (key, index) =>
          index % 2 === 0
            ? (await store.cool(key, LONG_MS, "overloaded")).version
            : (await store.tripped(key, { known: 0, openForMs: LONG_MS })).circuit.version,
        ),
      )
      must(new Set(steps).size === keys.length, "two changes have one version")
      const { version, circuits, cooldowns } = await store.changesSince(0)
      must(circuits.length === 20 && cooldowns.length === 20, "not all changes are told")
      must(version === Math.max(...steps), `it says to go on after ${version}, not after the latest`)
    }),

    story("keeps names and reasons as they are", async ({ store }) => {
      const names = ["eu mini@2", "c:p:1 2 3", "模型~17", 'with "quotes"\nand lines']
      for (const name of names) {
        await store.tripped(name, { known: 0, openForMs: LONG_MS })
        await store.cool(name, LONG_MS, name)
      }
      for (const name of names) {
        await knows(store, "afterwards", name, {
          circuit: { state: "open" },
          cooldown: { because: name },
        })
      }
    }),
  ]
}
