import fc from "fast-check"
import { type BudgetLimit, type BudgetOptions, type BudgetStore, memoryBudget, nanoUsd } from "tierwise"
import { expect } from "vitest"

/** One call of a budget store, and how long after the one before, ms. */
interface Command {
  readonly verb: "reserve" | "settle" | "release" | "extend" | "book" | "status"
  readonly id: string
  readonly tenant: string
  readonly money: number
  readonly tokens: number
  readonly afterMs: number
}

/** What a command is drawn from, each by itself. Few ids, so that they meet again, also when they are closed. */
export const COMMAND: { readonly [Name in keyof Command]: fc.Arbitrary<Command[Name]> } = {
  verb: fc.constantFrom(
    "reserve",
    "reserve",
    "reserve",
    "settle",
    "settle",
    "release",
    "extend",
    "book",
    "status",
  ),
  id: fc.constantFrom("1", "2", "3", "4", "5"),
  tenant: fc.constantFrom("a", "b"),
  money: fc.nat(60),
  tokens: fc.nat(80),
  afterMs: fc.constantFrom(0, 0, 1, 2_999, 3_000, 6_000),
}

/** The day turns while they are counted. */
const FROM = Date.UTC(2026, 0, 15, 23, 59, 40)

const LIMITS: readonly BudgetLimit[] = [
  { scope: "tenant", window: "minute", usd: 60e-9, tokens: 100 },
  { scope: "tenant", id: "b", window: "total", tokens: 90 },
  { scope: "global", window: "day", usd: 100e-9 },
  { scope: "request", tokens: 70 },
]

export interface ModelOptions {
  /** Default 100. */
  readonly numRuns?: number | undefined
  /** Default `COMMAND`. */
  readonly command?: typeof COMMAND | undefined
  /** Of one run. Default 1 to 16. */
  readonly length?: fc.ArrayConstraints | undefined
  /** Default 6,000. */
  readonly holdTtlMs?: number | undefined
}

/** Whatever comes in which order, the store answers as one in memory does, to the last number and error. */
export async function doesAsMemoryDoes(
  open: (options: BudgetOptions) => BudgetStore,
  {
    numRuns = 100,
    command = COMMAND,
    length = { minLength: 1, maxLength: 16 },
    holdTtlMs = 6_000,
  }: ModelOptions = {},
): Promise<void> {
  const commands = fc.array(fc.record(command), length)
  await fc.assert(
    fc.asyncProperty(commands, async (given) => {
      const clock = { at: FROM }
      const options = { limits: LIMITS, holdTtlMs, now: () => clock.at }
      const [real, model] = [open(options), memoryBudget(options)]
      for (const one of given) {
        clock.at += one.afterMs
        expect(await outcomeOf(one, real, holdTtlMs)).toEqual(await outcomeOf(one, model, holdTtlMs))
      }
      for (const tenant of ["a", "b"]) {
        expect(await real.status({ tenant })).toEqual(await model.status({ tenant }))
      }
      await real.close()
    }),
    { numRuns, endOnFailure: true },
  )
}

/** What a store answers, or why it does not. */
async function outcomeOf(
  { verb, id, tenant, money, tokens }: Command,
  store: BudgetStore,
  ttlMs: number,
): Promise<unknown> {
  const scopes = { tenant, request: id }
  const amount = { money: nanoUsd(money), tokens }
  const verbs: Readonly<Record<Command["verb"], () => Promise<unknown>>> = {
    reserve: () => store.reserve({ id, scopes, amount }),
    settle: () => store.settle(id, amount),
    release: () => store.release(id),
    extend: () => store.extend(id, ttlMs),
    book: () => store.book({ id, scopes, amount }),
    status: () => store.status(scopes),
  }
  return verbs[verb]().catch((error: { code?: unknown; path?: unknown }) => [error.code, error.path])
}
