import { type InvoiceLine, readInvoices } from "@tierwise/simulator"
import type { BudgetStatus } from "tierwise"
import { seeded } from "../ledger/story.ts"
import { type Account, accountsOf, costOf } from "./judge.ts"
import { KINDS } from "./mix.ts"
import { type HeldMoney, openBillWorld, type Tried } from "./world.ts"

const CALLS_AT_ONCE = 48
/** They wait most of the time. */
const LEAVERS_AT_ONCE = 96

/** Both sides of the same calls: what the provider billed, and what the library booked. */
export interface Played {
  readonly calls: number
  readonly accounts: readonly Account[]
  readonly lines: readonly InvoiceLine[]
  readonly tried: readonly Tried[]
  readonly held: ReadonlyMap<string, HeldMoney>
  readonly ledger: BudgetStatus
  /** Sum of all attempts, NanoUsd. */
  readonly attempted: number
}

/** Makes about so many calls of all kinds, in an order and with contents that the seed decides. */
export async function playBill(
  calls: number,
  seed: number,
  progress: (line: string) => void,
): Promise<Played> {
  await using world = await openBillWorld(seed)
  const random = seeded(seed)
  const shares = KINDS.reduce((sum, { share }) => sum + share, 0)
  const waiting = KINDS.flatMap((kind) => {
    const call = kind.open(world, kind.name)
    const times = Math.max(1, Math.round((calls * kind.share) / shares))
    return Array.from({ length: times }, () => ({ kind, call, order: random(), seed: random() * 2 ** 32 }))
  }).sort((a, b) => a.order - b.order)
  const leavers = waiting.filter(({ kind }) => kind.leaves === true)
  const others = waiting.filter(({ kind }) => kind.leaves !== true)
  // How a call ends is on the records; here it only ends.
  const makeOne = (next: (typeof waiting)[number]) => next.call(seeded(next.seed)).catch(() => {})
  await inTurn(others, CALLS_AT_ONCE, makeOne, (done) => progress(`${done} of ${waiting.length} calls`))
  await inTurn(leavers, LEAVERS_AT_ONCE, makeOne, (done) =>
    progress(`${others.length + done} of ${waiting.length} calls`),
  )
  await world.settled()
  const lines = await readInvoices(world.baseUrl)
  const { tried, held } = world
  return {
    calls: waiting.length,
    accounts: accountsOf(tried, held, lines),
    lines,
    tried,
    held,
    ledger: await world.ledger(),
    attempted: tried.reduce((sum, { attempt }) => sum + costOf(attempt), 0),
  }
}

const TOLD_EVERY = 1_000

async function inTurn<T>(
  list: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<unknown>,
  told: (done: number) => void,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < list.length) {
      await work(list[next++] as T)
      if (next % TOLD_EVERY === 0) told(next)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
