import type { HealthStore, ProbeEnd, ProbeWish, SharedStep } from "../spec/health.ts"
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

/** When a circuit is open, who may send the probe, and whose end of it counts. */
export function circuitCases(make: MakeHealthStore): readonly ContractCase[] {
  const story = storiesOf(make)
  return [
    story("opens, for the time of the first of several that open at once", async ({ store }) => {
      const [first, second] = await Promise.all([
        store.tripped("a", { known: 0, openForMs: LONG_MS }),
        store.tripped("a", { known: 0, openForMs: 10 * LONG_MS }),
      ])
      isDone(first, "the first opening", { state: "open", failedProbes: 0, probeForMs: 0, probe: "" })
      mustBeLeft(first.circuit.openForMs, LONG_MS, "the first opening")
      isRefused(second, "the second opening", { version: first.circuit.version, state: "open" })
      mustBeLeft(second.circuit.openForMs, LONG_MS, "as the second one hears it")
    }),

    story("opens again for whoever knows that it was closed, and for nobody else", async ({ store }) => {
      const { circuit: claimed } = await claim(store, "p")
      const { circuit: closed } = await end(store, "p", "well")
      const stale = { known: claimed.version, openForMs: LONG_MS }
      isRefused(await store.tripped("a", stale), "an opening by what was before", closed)
      const seen = await store.tripped("a", { ...stale, known: closed.version })
      isDone(seen, "an opening by what is", { state: "open", failedProbes: 0 })
      must(seen.circuit.version > closed.version, "the version did not grow")
    }),

    story("gives nobody the place of the probe while it is open", async ({ store }) => {
      const { circuit } = await store.tripped("a", { known: 0, openForMs: LONG_MS })
      const { version } = circuit
      isRefused(await claim(store, "p", { known: version }), "a claim", { version, probeForMs: 0, probe: "" })
    }),

    story("gives it to one of several, when the opening is over", async ({ store, passed }) => {
      const { circuit } = await store.tripped("a", { known: 0, openForMs: SHORT_MS })
      await passed(SHORT_MS)
      const known = circuit.version
      const claims = await Promise.all(["p", "q", "r"].map((probe) => claim(store, probe, { known })))
      const given = claims.filter(({ done }) => done)
      must(given.length === 1, `${given.length} of three have the place`)
      for (const one of claims) {
        sameIn(one.circuit, { state: "open", openForMs: 0, probe: given[0]?.circuit.probe ?? "" }, "a claim")
        mustBeLeft(one.circuit.probeForMs, LONG_MS, "the lease")
      }
    }),

    story("gives nobody the place who has not seen the latest", async ({ store }) => {
      await claim(store, "p")
      const { circuit } = await end(store, "p", "neither")
      isRefused(await claim(store, "q"), "a claim that rests on less", circuit)
      isDone(await claim(store, "q", { known: circuit.version }), "a claim that knows", { probe: "q" })
    }),

    story("takes a circuit that it does not know to be open, as it is told", async ({ store }) => {
      const step = await claim(store, "p", { failedProbes: 3 })
      isDone(step, "the claim", { state: "open", openForMs: 0, failedProbes: 3, probe: "p" })
      await end(store, "p", "neither", { failedProbes: 3 })
      const { circuit } = await store.tripped("b", { known: 0, openForMs: 1 })
      must(circuit.version > step.circuit.version, "the version of another circuit is not higher")
    }),

    story("counts failed probes as it knows them", async ({ store, passed }) => {
      await claim(store, "p")
      const { circuit } = await end(store, "p", "badly", { openForMs: SHORT_MS, failedProbes: 4 })
      await passed(SHORT_MS)
      isDone(await claim(store, "q", { known: circuit.version }), "a claim that counts otherwise", {
        failedProbes: 4,
      })
    }),

    story("closes when a probe ends well", async ({ store }) => {
      await claim(store, "p", { failedProbes: 2 })
      const closed = { state: "closed", openForMs: 0, failedProbes: 0, probeForMs: 0 } as const
      isDone(await end(store, "p", "well", { failedProbes: 2 }), "the end", closed)
      await knows(store, "afterwards", "a", { circuit: closed })
    }),

    story("opens for as long as it is told when one ends badly", async ({ store }) => {
      await claim(store, "p")
      const step = await end(store, "p", "badly", { openForMs: LONG_MS, failedProbes: 1 })
      isDone(step, "the end", { state: "open", failedProbes: 1, probeForMs: 0 })
      mustBeLeft(step.circuit.openForMs, LONG_MS, "the opening")
    }),

    story(
      "gives the place to the next one at once where the opening is over before it is told",
      async ({ store }) => {
        await claim(store, "p")
        const { circuit } = await end(store, "p", "badly", { openForMs: 0, failedProbes: 1 })
        isDone(await claim(store, "q", { known: circuit.version }), "the next claim", { failedProbes: 1 })
      },
    ),

    story("leaves the place to the next one when one ends neither way", async ({ store }) => {
      await claim(store, "p", { failedProbes: 1 })
      const { circuit } = await end(store, "p", "neither", { openForMs: LONG_MS, failedProbes: 1 })
      sameIn(circuit, { state: "open", openForMs: 0, failedProbes: 1, probeForMs: 0 }, "the end")
      isDone(await claim(store, "q", { known: circuit.version }), "the next claim", { probe: "q" })
    }),

    story("hears the end of a probe whose claim's answer was lost", async ({ store, passed }) => {
      const { circuit } = await store.tripped("a", { known: 0, openForMs: SHORT_MS })
      await passed(SHORT_MS)
      const known = circuit.version
      await claim(store, "p", { known })
      isDone(await end(store, "p", "well", { known }), "the end", { state: "closed" })
    }),

    story(
      "hears it again where the answer was lost, and takes the latest of what one probe tells",
      async (under) => {
        const { store } = under
        await claim(store, "p")
        const failed = { openForMs: LONG_MS, failedProbes: 1 }
        await end(store, "p", "badly", failed)
        const opened = { state: "open", failedProbes: 1, probeForMs: 0 } as const
        isDone(await end(store, "p", "badly", failed), "badly, again", opened)
        isDone(await end(store, "p", "neither", { failedProbes: 1 }), "neither way, then", opened)
        isDone(await end(store, "p", "well"), "well, then", { state: "closed", failedProbes: 0 })
        isDone(await end(store, "p", "well"), "well, again", { state: "closed", failedProbes: 0 })
      },
    ),

    story("hears a probe that had no leave, of a circuit that it does not know", async ({ store }) => {
      const step = await end(store, "p", "badly", { openForMs: LONG_MS, failedProbes: 2 })
      isDone(step, "the end", { state: "open", failedProbes: 2 })
      const neither = await store.probeEnded("b", endOf("q", "neither"))
      isDone(neither, "another, neither way", { key: "b", state: "open", openForMs: 0 })
    }),

    story("hears none that had no leave while another is under way", async ({ store }) => {
      const { circuit } = await claim(store, "p")
      const known = circuit.version
      isRefused(await end(store, "q", "well", { known }), "the end", { state: "open", probe: "p" })
      isDone(await end(store, "p", "well"), "the other's end", { state: "closed" })
    }),

    story("hears none after somebody else has found out", async ({ store }) => {
      const { circuit: claimed } = await claim(store, "p")
      const { circuit } = await end(store, "p", "well")
      const late = await end(store, "q", "badly", { known: claimed.version, failedProbes: 1 })
      isRefused(late, "the end", circuit)
      const seen = await end(store, "q", "badly", { known: circuit.version, failedProbes: 1 })
      isDone(seen, "one that knows", { state: "open", failedProbes: 1 })
    }),

    story("gives the place away when its lease is over, and hears the lost probe no more", async (under) => {
      const { store, passed } = under
      const { circuit } = await claim(store, "lost", { leaseMs: SHORT_MS })
      await passed(SHORT_MS)
      await knows(store, "when the lease is over", "a", { circuit: { state: "open", probeForMs: 0 } })
      isDone(await claim(store, "next", { known: circuit.version }), "the next claim", { probe: "next" })
      isRefused(await end(store, "lost", "well"), "the end of the lost one", { state: "open", probe: "next" })
      isDone(await end(store, "next", "well"), "the end of the next one", { state: "closed" })
    }),

    story("still hears one that is late, if nobody has taken its place", async ({ store, passed }) => {
      await claim(store, "late", { leaseMs: SHORT_MS })
      await passed(SHORT_MS)
      isDone(await end(store, "late", "well"), "the end", { state: "closed" })
    }),
  ]
}

function claim(store: HealthStore, probe: string, wish: Partial<ProbeWish> = {}): Promise<SharedStep> {
  return store.claimProbe("a", { known: 0, leaseMs: LONG_MS, failedProbes: 0, ...wish, probe })
}

function endOf(probe: string, how: ProbeEnd["how"], end: Partial<ProbeEnd> = {}): ProbeEnd {
  return { known: 0, openForMs: LONG_MS, failedProbes: 0, ...end, probe, how }
}

function end(
  store: HealthStore,
  probe: string,
  how: ProbeEnd["how"],
  end?: Partial<ProbeEnd>,
): Promise<SharedStep> {
  return store.probeEnded("a", endOf(probe, how, end))
}

function isDone(step: SharedStep, what: string, circuit: Partial<SharedStep["circuit"]>): void {
  must(step.done, `${what} was not taken: ${JSON.stringify(step.circuit)}`)
  sameIn(step.circuit, circuit, what)
}

function isRefused(step: SharedStep, what: string, circuit: Partial<SharedStep["circuit"]>): void {
  must(!step.done, `${what} was taken`)
  sameIn(step.circuit, circuit, what)
}
