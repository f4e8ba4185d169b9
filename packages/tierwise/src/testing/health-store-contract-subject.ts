import type { HealthStore, SharedCircuit, SharedCooldown } from "../spec/health.ts"
import { sameIn } from "./budget-store-contract-subject.ts"
import { type ContractCase, must } from "./contract.ts"

/** A fresh store: one that knows nothing yet. */
export interface HealthStoreUnderTest {
  readonly store: HealthStore
  /** Lets so much time pass by the store's clock, ms. It may be real time: what is waited for is short. */
  readonly passed: (ms: number) => Promise<void>
}

export type MakeHealthStore = () => HealthStoreUnderTest | Promise<HealthStoreUnderTest>

/** What is waited for, ms. */
export const SHORT_MS = 50

/** What is never over within a case, ms. */
export const LONG_MS = 600_000

/** Makes cases of stories, each with a store of its own. */
export function storiesOf(
  make: MakeHealthStore,
): (name: string, run: (under: HealthStoreUnderTest) => Promise<void>) => ContractCase {
  return (name, run) => ({ name, run: async () => run(await make()) })
}

/** Everything that the store knows of one target has to be as expected. */
export async function knows(
  store: HealthStore,
  when: string,
  key: string,
  expected: { readonly circuit?: Partial<SharedCircuit>; readonly cooldown?: Partial<SharedCooldown> },
): Promise<void> {
  const { circuits, cooldowns } = await store.changesSince(0)
  const circuit = circuits.find((known) => known.key === key)
  const cooldown = cooldowns.find((known) => known.key === key)
  if (expected.circuit !== undefined) {
    must(circuit !== undefined, `${when}: it knows no circuit of ${key}`)
    sameIn(circuit, expected.circuit, when)
  }
  if (expected.cooldown !== undefined) {
    must(cooldown !== undefined, `${when}: it knows no cooldown of ${key}`)
    sameIn(cooldown, expected.cooldown, when)
  }
}

/** @throws ContractBroken unless what is left of `ofMs` is a little less. */
export function mustBeLeft(leftMs: number, ofMs: number, what: string): void {
  must(leftMs > ofMs / 2 && leftMs <= ofMs, `${what}: ${leftMs} ms are left of ${ofMs}`)
}
