import type { BudgetLimit } from "../budget/limits.ts"
import type { BudgetStatus, BudgetStore, BudgetWarning, Refusal, ReserveOutcome } from "../spec/budget.ts"
import { TierwiseError, type TierwiseErrorCode } from "../spec/errors.ts"
import { type Amount, nanoUsd } from "../spec/money.ts"
import type { Scopes } from "../spec/request.ts"
import { type ContractCase, must } from "./contract.ts"

/** What a store under test is built with. Each is to be taken as it is. */
export interface ContractBudget {
  readonly limits: readonly BudgetLimit[]
  /** IANA zone in which days, weeks and months begin. */
  readonly timeZone: string
  /** How long a hold lives without being extended, ms. */
  readonly holdTtlMs: number
  readonly onWarning: (warning: BudgetWarning) => void
  /** The store's one clock, epoch ms. The suite moves it, also backwards; it has nothing to do with the real time. */
  readonly now: () => number
}

/** Makes a fresh store: one that keeps no money yet. */
export type MakeBudget = (options: ContractBudget) => BudgetStore | Promise<BudgetStore>

/** A case's own store, and what is around it. */
export interface BudgetWorld {
  readonly store: BudgetStore
  readonly clock: MovableClock
  /** What was warned of until now, in order. */
  readonly warnings: readonly BudgetWarning[]
}

export interface MovableClock {
  /** Epoch ms. */
  at: number
}

/** What a case's store differs in from the usual one. */
export interface Unlike extends Partial<Pick<ContractBudget, "limits" | "timeZone">> {
  /** What is done when it warns, besides noting the warning. */
  readonly listener?: (() => void) | undefined
}

export const HOLD_TTL_MS = 60_000

/** A Thursday noon in UTC. */
export const NOON: number = Date.UTC(2026, 0, 15, 12)

/** Two scopes in two units: 1,000 NanoUsd a day for a tenant, 500 tokens a day for a user. */
const LIMITS: readonly BudgetLimit[] = [
  { scope: "tenant", window: "day", usd: 1e-6 },
  { scope: "user", window: "day", tokens: 500 },
]

export const SCOPES: Scopes = { tenant: "acme", user: "ada" }

/** Makes cases of stories, each in a world of its own. */
export function storiesOf(
  make: MakeBudget,
): (name: string, run: (world: BudgetWorld) => Promise<void>, unlike?: Unlike) => ContractCase {
  return (name, run, { limits = LIMITS, timeZone = "UTC", listener = () => {} } = {}) => ({
    name,
    run: async () => {
      const clock = { at: NOON }
      const warnings: BudgetWarning[] = []
      const store = await make({
        limits,
        timeZone,
        holdTtlMs: HOLD_TTL_MS,
        onWarning: (warning) => {
          warnings.push(warning)
          return listener()
        },
        now: () => clock.at,
      })
      try {
        await run({ store, clock, warnings })
      } finally {
        await store.close()
      }
    },
  })
}

export function amount(money: number, tokens = 0): Amount {
  return { money: nanoUsd(money), tokens }
}

/** Asks for a hold. */
export function ask(
  { store }: BudgetWorld,
  id: string,
  wanted: Amount,
  scopes: Scopes = SCOPES,
): Promise<ReserveOutcome> {
  return store.reserve({ id, scopes, amount: wanted })
}

/** Asks for a hold that has to be granted. */
export async function hold(world: BudgetWorld, id: string, wanted: Amount, scopes?: Scopes): Promise<void> {
  const outcome = await ask(world, id, wanted, scopes)
  must(outcome.granted, `${said(wanted)} were refused${outcome.granted ? "" : `: ${said(outcome.refusal)}`}`)
}

/** Asks for a hold that has to be refused. */
export async function refused(
  world: BudgetWorld,
  id: string,
  wanted: Amount,
  scopes?: Scopes,
): Promise<Refusal> {
  const outcome = await ask(world, id, wanted, scopes)
  must(!outcome.granted, `${said(wanted)} were granted, which do not fit`)
  return outcome.refusal
}

/** What has to be seen of one counter. The scope is named as in `tenant:acme`. */
export type Seen = Partial<BudgetStatus> & Pick<BudgetStatus, "scope">

/** Reads the status, which has to show all that is expected of each of these counters. */
export async function shows(
  { store }: BudgetWorld,
  when: string,
  expected: readonly Seen[],
  scopes: Scopes = SCOPES,
): Promise<void> {
  const statuses = await store.status(scopes)
  for (const seen of expected) {
    const status = statuses.find(
      ({ scope, window, unit }) =>
        scope === seen.scope && (seen.window ?? window) === window && (seen.unit ?? unit) === unit,
    )
    must(status !== undefined, `${when}: the status does not list ${said(seen)}`)
    sameIn(status, seen, when)
  }
}

/** @throws ContractBroken for the first field of `expected` that is another in `given`. */
export function sameIn<T extends object>(given: T, expected: Partial<T>, when: string): void {
  for (const field of Object.keys(expected) as (keyof T & string)[]) {
    const isSame = given[field] === expected[field]
    must(isSame, `${when}: ${field} is ${given[field]}, not ${expected[field]}, in ${said(given)}`)
  }
}

/** @throws ContractBroken unless the work is refused with an error of this code and, if one is named, field. */
export async function rejects(
  work: () => Promise<unknown>,
  what: string,
  path?: string,
  code: TierwiseErrorCode = "invalid-config",
): Promise<void> {
  const error = await work().then(
    () => undefined,
    (thrown: unknown) => ({ thrown }),
  )
  must(error !== undefined, `${what} was taken`)
  const known: (TierwiseError & { readonly path?: string }) | undefined = TierwiseError.find(error.thrown)
  must(known?.code === code, `${what} threw ${String(error.thrown)}, no error of the code ${code}`)
  must(
    path === undefined || known.path === path,
    `${what} is told as wrong in "${known.path}", not "${path}"`,
  )
}

function said(what: object): string {
  return JSON.stringify(what)
}
