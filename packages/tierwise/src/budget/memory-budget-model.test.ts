import fc from "fast-check"
import { it } from "vitest"
import type { BudgetStatus, BudgetStore, ReserveOutcome } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { type Amount, nanoUsd } from "../spec/money.ts"
import type { Scopes } from "../spec/request.ts"
import { must } from "../testing/contract.ts"
import type { BudgetLimit } from "./limits.ts"
import { memoryBudget } from "./memory-budget.ts"

const MINUTE_MS = 60_000
const TTL_MS = 5 * MINUTE_MS
/** Holds are made up to midnight, and after it. */
const START = Date.UTC(2026, 0, 15, 23, 40)

/** How long a window is, ms; all of them divide the epoch in UTC. */
const LENGTHS = { minute: MINUTE_MS, day: 86_400_000, total: Number.POSITIVE_INFINITY } as const

interface ModelLimit extends BudgetLimit {
  readonly window: keyof typeof LENGTHS
}

const LIMITS: readonly ModelLimit[] = [
  { scope: "user", window: "minute", tokens: 100 },
  { scope: "tenant", window: "day", usd: 300e-9, tokens: 200 },
  { scope: "tenant", window: "total", usd: 2_000e-9 },
  { scope: "global", window: "day", usd: 500e-9 },
  { scope: "global", window: "total", usd: 3_000e-9 },
]

/** All that was ever granted or booked, each as it stands: whatever is counted is a sum over these. */
interface Item {
  readonly id: string
  readonly at: number
  readonly scopes: Scopes
  readonly quoted: Amount
  expiresAt: number
  /** Undefined: still open. */
  actual: Amount | undefined
}

interface Seen {
  readonly spent: number
  readonly held: number
  readonly unconfirmed: number
  readonly overrun: number
}

class Model {
  at = START
  readonly items: Item[] = []
  /** Ids that were closed, also such as never were held. */
  readonly closed = new Set<string>()

  of(id: string): Item | undefined {
    return this.items.find((item) => item.id === id)
  }

  isLive({ actual, expiresAt }: Item): boolean {
    return actual === undefined && expiresAt > this.at
  }

  seen({ scope, window }: ModelLimit, unit: "money" | "tokens", scopes: Scopes): Seen {
    const turn = (at: number) => Math.floor(at / LENGTHS[window])
    const counted = this.items.filter(
      (item) =>
        (scope === "global" || item.scopes[scope] === scopes[scope]) && turn(item.at) === turn(this.at),
    )
    const sum = (items: readonly Item[], of: (item: Item) => number) =>
      items.reduce((total, item) => total + of(item), 0)
    const settled = counted.filter(({ actual }) => actual !== undefined)
    const lost = counted.filter((item) => item.actual === undefined && !this.isLive(item))
    const unconfirmed = sum(lost, ({ quoted }) => quoted[unit])
    return {
      spent: sum(settled, ({ actual }) => actual?.[unit] ?? 0) + unconfirmed,
      held: sum(
        counted.filter((item) => this.isLive(item)),
        ({ quoted }) => quoted[unit],
      ),
      unconfirmed,
      overrun: sum(settled, ({ actual, quoted }) => Math.max(0, (actual?.[unit] ?? 0) - quoted[unit])),
    }
  }

  /** One for each limit in each of its units, in their order. */
  counters(
    scopes: Scopes,
  ): readonly (Seen & { readonly limit: number; readonly unit: "money" | "tokens" })[] {
    return LIMITS.flatMap((limit) => [
      ...(limit.usd === undefined
        ? []
        : [
            {
              ...this.seen(limit, "money", scopes),
              limit: Math.round(limit.usd * 1e9),
              unit: "money" as const,
            },
          ]),
      ...(limit.tokens === undefined
        ? []
        : [{ ...this.seen(limit, "tokens", scopes), limit: limit.tokens, unit: "tokens" as const }]),
    ])
  }

  fits(scopes: Scopes, wanted: Amount): boolean {
    return this.counters(scopes).every(
      ({ spent, held, limit, unit }) => wanted[unit] === 0 || spent + held + wanted[unit] <= limit,
    )
  }
}

interface Real {
  readonly store: BudgetStore
  readonly setTime: (at: number) => void
}

type Command = fc.AsyncCommand<Model, Real>

const EVERYONE: readonly Scopes[] = ["a", "b"].flatMap((tenant) =>
  ["u", "v"].map((user) => ({ tenant, user })),
)

/** A command, after which every counter of everyone has to be as the model says. */
function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    toString: () => name,
    async run(model, real) {
      await run(model, real)
      const statuses = await Promise.all(EVERYONE.map((scopes) => real.store.status(scopes)))
      const counted = statuses
        .flat()
        .map(({ limit, spent, held, unconfirmed, overrun, remaining }) =>
          [limit, spent, held, unconfirmed, overrun, remaining].join(" "),
        )
      const modelled = EVERYONE.flatMap((scopes) => model.counters(scopes)).map(
        ({ limit, spent, held, unconfirmed, overrun }) =>
          [limit, spent, held, unconfirmed, overrun, Math.max(0, limit - spent - held)].join(" "),
      )
      same(counted.join("; "), modelled.join("; "), "limit, spent, held, unconfirmed, overrun, remaining")
      const ofTenants = total(statuses, "tenant:a") + total(statuses, "tenant:b")
      same(ofTenants, total(statuses, "global:all"), "all tenants together")
    },
  }
}

function same<T>(given: T, expected: T, what: string): void {
  must(given === expected, `${what}: ${String(given)}, not ${String(expected)}`)
}

/** What the store says of it, or the field that it finds wrong. */
async function answerTo(asked: Promise<ReserveOutcome>): Promise<ReserveOutcome | string> {
  return asked.catch((error: unknown) => (error instanceof ConfigError ? error.path : String(error)))
}

/** What a scope has spent and held for ever, NanoUsd. */
function total(statuses: readonly (readonly BudgetStatus[])[], scope: string): number {
  const status = statuses.flat().find((one) => one.scope === scope && one.window === "total")
  return (status?.spent ?? Number.NaN) + (status?.held ?? Number.NaN)
}

const scopes = fc.constantFrom(...EVERYONE)
const id = fc.nat(12).map(String)
/** Such as often fill a limit exactly, or to one unit more or less. */
const amount = fc
  .record({ money: fc.constantFrom(0, 1, 49, 50, 100, 150), tokens: fc.constantFrom(0, 1, 19, 20, 40, 60) })
  .map(({ money, tokens }): Amount => ({ money: nanoUsd(money), tokens }))

const reserving = fc.tuple(id, scopes, amount).map(([id, scopes, wanted]) =>
  command(`reserve ${id} ${JSON.stringify({ scopes, wanted })}`, async (model, { store }) => {
    const answer = await answerTo(store.reserve({ id, scopes, amount: wanted }))
    const known = model.of(id)
    if (known !== undefined && known.actual === undefined) {
      const isSame = JSON.stringify([known.scopes, known.quoted]) === JSON.stringify([scopes, wanted])
      const expiresAt = typeof answer === "string" || !answer.granted ? answer : answer.reservation.expiresAt
      same(expiresAt, isSame ? known.expiresAt : "id", "asked again")
      return
    }
    if (known !== undefined || model.closed.has(id)) {
      same(answer, "id", "asked again after it was closed")
      return
    }
    const granted = typeof answer !== "string" && answer.granted
    same(granted, model.fits(scopes, wanted), "granted")
    if (!granted) return
    model.items.push({
      id,
      at: model.at,
      scopes,
      quoted: wanted,
      expiresAt: model.at + TTL_MS,
      actual: undefined,
    })
    for (const { spent, held, limit, unit } of model.counters(scopes)) {
      must(
        wanted[unit] === 0 || spent + held <= limit,
        `${spent} spent and ${held} held are more than ${limit}`,
      )
    }
  }),
)

const closing = fc.tuple(id, fc.option(amount, { nil: undefined })).map(([id, actual]) =>
  command(`close ${id} ${JSON.stringify(actual ?? "unused")}`, async (model, { store }) => {
    const closed = await (actual === undefined ? store.release(id) : store.settle(id, actual))
    const item = model.of(id)
    model.closed.add(id)
    if (item === undefined || item.actual !== undefined) {
      same(closed, undefined, "closed again")
      return
    }
    same(closed?.late, !model.isLive(item), "late")
    item.actual = actual ?? { money: nanoUsd(0), tokens: 0 }
    same(closed?.overrun.tokens, Math.max(0, item.actual.tokens - item.quoted.tokens), "overrun")
  }),
)

const extending = fc.tuple(id, fc.constantFrom(1, MINUTE_MS, 2 * TTL_MS)).map(([id, ttlMs]) =>
  command(`extend ${id} by ${ttlMs}`, async (model, { store }) => {
    const item = model.of(id)
    const isLive = item !== undefined && model.isLive(item)
    same(await store.extend(id, ttlMs), isLive, "extended")
    if (isLive) item.expiresAt = model.at + ttlMs
  }),
)

const booking = fc.tuple(id, scopes, amount).map(([id, scopes, cost]) =>
  command(`book ${id} ${JSON.stringify({ scopes, cost })}`, async (model, { store }) => {
    await store.book({ id, scopes, amount: cost })
    if (model.of(id) !== undefined || model.closed.has(id)) return
    const nothing = { money: nanoUsd(0), tokens: 0 }
    model.items.push({ id, at: model.at, scopes, quoted: nothing, expiresAt: model.at, actual: cost })
  }),
)

const waiting = fc.constantFrom(1, MINUTE_MS - 1, MINUTE_MS, 4 * MINUTE_MS).map((ms) =>
  command(`wait ${ms}`, async (model, { setTime }) => {
    model.at += ms
    setTime(model.at)
  }),
)

it("counts what a plain list of all traffic would, in any order of commands, and never grants beyond a limit", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.commands([reserving, reserving, closing, extending, booking, waiting], {
        maxCommands: 60,
        size: "max",
      }),
      async (commands) => {
        const model = new Model()
        let at = model.at
        const store = memoryBudget({ limits: LIMITS, holdTtlMs: TTL_MS, now: () => at })
        const setTime = (to: number) => {
          at = to
        }
        await fc.asyncModelRun(() => ({ model, real: { store, setTime } }), commands)
      },
    ),
    { numRuns: 100 },
  )
})
