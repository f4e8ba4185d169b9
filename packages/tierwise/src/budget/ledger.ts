import { sha256 } from "@langchain/core/utils/hash"
import type {
  BudgetStatus,
  BudgetStore,
  BudgetWarning,
  Closing,
  Refusal,
  ReserveOutcome,
} from "../spec/budget.ts"
import { BudgetUnavailableError, ConfigError, messageOf, TierwiseError } from "../spec/errors.ts"
import type { Amount } from "../spec/money.ts"
import type { Scopes } from "../spec/request.ts"
import { checkAmount, checkId, checkRequest, checkScopes, validTtl } from "./check-request.ts"
import { countersOf, type NamedCounter } from "./counters.ts"
import { isUnavailable } from "./is-unavailable.ts"
import {
  beyond,
  type EngineClosed,
  type EngineReserved,
  type LedgerEngine,
  type LedgerLimits,
  NOTHING,
  type Totals,
  type Turned,
  takenId,
} from "./ledger-engine.ts"
import { asRequest, type BudgetLimit, type Rule, rulesOf } from "./limits.ts"
import { owed } from "./owed.ts"
import { tell } from "./tell.ts"
import { validTimeZone } from "./windows.ts"

/** What every budget can be told, wherever it keeps its money. */
export interface BudgetOptions {
  readonly limits: readonly BudgetLimit[]
  /** IANA zone in which days, weeks and months begin. Default UTC. */
  readonly timeZone?: string | undefined
  /** How long a hold lives without being extended, ms. Default 10 minutes. */
  readonly holdTtlMs?: number | undefined
  /** Told of each share of a limit that is reached: once per window, in one of the processes. Not waited for; what it throws is ignored. */
  readonly onWarning?: ((warning: BudgetWarning) => void) | undefined
  /** Epoch ms. Default: the store's own clock. Give another in tests only. */
  readonly now?: (() => number) | undefined
}

/** What a budget that processes share can be told besides. */
export interface SharedBudgetOptions extends BudgetOptions {
  /** Name of the ledger: budgets of one name in one store keep the same money. Default `tierwise`. */
  readonly ledger?: string | undefined
  /**
   * What is done where the ledger has other limits than these. `refuse` (default): a ConfigError, in the process that comes
   * later. `replace`: these take their place; processes that were given others are refused from then on. What is spent stays.
   * Take `replace` out again when all processes have the new limits: one with the old ones, started again, would replace them.
   */
  readonly otherLimits?: "refuse" | "replace" | undefined
}

const DEFAULT_HOLD_TTL_MS = 600_000

/** What came of a step, and the counters it was taken with. */
interface InTurn<T> {
  readonly named: readonly NamedCounter[]
  readonly done: T
}

/** How often a request is named anew because the store's clock has turned a window in the meantime. */
const MOST_TURNS = 5

/**
 * A budget over an engine: which counters a call falls under, what a refusal says, who is warned, and what is told to a
 * store that comes back.
 *
 * @throws ConfigError for a limit that is negative, fractional in tokens, empty, or given twice; an unknown zone.
 */
export function ledger(engine: LedgerEngine, options: SharedBudgetOptions): BudgetStore {
  const rules = rulesOf(options.limits)
  const timeZone = validTimeZone(options.timeZone ?? "UTC", "budget.timeZone")
  const holdTtlMs = validTtl(options.holdTtlMs ?? DEFAULT_HOLD_TTL_MS, "budget.holdTtlMs")
  const limits = limitsFrom(rules, timeZone, options.otherLimits ?? "refuse")
  const counters = countersOf(rules, timeZone)
  const { onWarning, now = Date.now } = options
  /** Closings and bookings: what was spent. */
  const unbooked = owed(isUnavailable)
  /** Holds to give back that may never have been made: an outage brings any number of them, and displaces no cost. */
  const unreleased = owed(isUnavailable)
  let closing: Promise<void> | undefined
  /** What the store's clock is ahead of ours, ms. */
  let ahead = 0
  let isOpen = false
  let opening: Promise<void> | undefined

  /** A step of the engine, which is opened before. Every call takes two: a promise less counts. */
  function stepOf<T>(work: () => Promise<T>): Promise<T> {
    return isOpen ? work() : opened().then(work)
  }

  async function opened(): Promise<void> {
    opening ??= engine.open(limits).finally(() => {
      opening = undefined
    })
    await opening
    isOpen = true
  }

  /** The engine's failures, in one form. */
  function told(error: unknown): unknown {
    if (TierwiseError.isInstance(error)) return error
    return new BudgetUnavailableError(engine.name, messageOf(error), { cause: error })
  }

  async function step<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await stepOf(work)
    } catch (error) {
      throw told(error)
    }
  }

  /** Names the counters by the store's clock, which has the last word on what day it is. */
  async function inTurn<T extends { readonly outcome: string }>(
    scopes: Scopes,
    work: (named: readonly NamedCounter[]) => Promise<T | Turned>,
  ): Promise<InTurn<T>> {
    for (let turns = 0; turns < MOST_TURNS; turns++) {
      const named = counters.of(scopes, now() + ahead)
      let done: T | Turned
      try {
        done = await stepOf(() => work(named))
      } catch (error) {
        throw told(error)
      }
      if (done.outcome !== "turned") return { named, done: done as T }
      ahead = (done as Turned).now - now()
    }
    throw new BudgetUnavailableError(engine.name, "its clock does not stand still")
  }

  async function close(id: string, given: Amount): Promise<Closing | undefined> {
    checkId(id)
    const actual = checkAmount(given)
    const work = () => engine.close(id, actual)
    let closed: EngineClosed | undefined
    try {
      closed = await stepOf(work)
    } catch (thrown) {
      const error = told(thrown)
      if (isUnavailable(error)) unbooked.add(`close ${id}`, async () => warnOf((await step(work))?.totals))
      throw error
    }
    if (closed === undefined) return undefined
    if (onWarning !== undefined) await warnOf(closed.totals)
    return { late: closed.late, overrun: beyond(actual, closed.held) }
  }

  /** Tells of every share that these counters have reached and nobody was told of. */
  async function warnOf(totals: readonly Totals[] | undefined): Promise<void> {
    if (onWarning === undefined || totals === undefined) return
    for (const { key, spent, warned } of totals) {
      const counter = counters.named(key)
      if (counter === undefined) continue
      const { rule, marks, scope, limit } = counter
      for (let level = warned + 1; spent >= (marks[level - 1] ?? Number.POSITIVE_INFINITY); level++) {
        // The money is booked: that a warning could not be claimed must not look as if it were not.
        const mine = await step(() => engine.claim(counter, level)).catch(() => false)
        // Another process tells of this share; of the next one perhaps nobody else does.
        if (!mine) continue
        const { window, unit } = rule
        const share = rule.warnAt[level - 1] as number
        tell(onWarning, { scope, window, unit, limit, spent, share, resetsAt: resetOf(counter) })
      }
    }
  }

  async function end(): Promise<void> {
    await Promise.all([unbooked.end(), unreleased.end()])
    await engine.end()
    const untold = unbooked.size + unbooked.givenUp + unreleased.size
    if (untold === 0) return
    throw new BudgetUnavailableError(engine.name, `${untold} of its closings and bookings did not reach it`)
  }

  return {
    name: engine.name,

    async reserve(request): Promise<ReserveOutcome> {
      const { id, scopes, amount } = checkRequest(request)
      // Whoever asks again wants the hold, and knows of it from now on.
      if (unreleased.size > 0) await unreleased.drop(id)
      let asked: InTurn<Exclude<EngineReserved, Turned>>
      try {
        asked = await inTurn(asRequest(id, scopes), (named) =>
          engine.reserve({ id, scopes, amount, counters: named }, holdTtlMs, limits.print),
        )
      } catch (error) {
        // It may be held, and whoever asked will never know.
        if (isOpen && isUnavailable(error)) unreleased.add(id, () => step(() => engine.close(id, NOTHING)))
        throw error
      }
      const { named, done } = asked
      if (done.outcome === "granted") {
        const { expiresAt } = done
        return { granted: true, reservation: { id, amount: { ...amount }, expiresAt, ttlMs: holdTtlMs } }
      }
      if (done.outcome === "refused") {
        const counter = named.find(({ key }) => key === done.totals.key) as NamedCounter
        // Holds that have expired since were booked, and nobody was told.
        await warnOf([done.totals])
        return { granted: false, refusal: refusalOf(counter, done.totals) }
      }
      if (done.outcome === "taken") throw takenId(id)
      const fix = 'give all processes the same limits, or this one otherLimits: "replace"'
      throw new ConfigError("budget.limits", `${engine.name} is kept with other limits by now`, fix)
    },

    settle: close,

    release: (id) => close(id, NOTHING),

    async extend(id, ttlMs) {
      checkId(id)
      validTtl(ttlMs, "ttlMs")
      return step(() => engine.extend(id, ttlMs))
    },

    async book(request) {
      const { id, scopes, amount } = checkRequest(request)
      const booking = async () => {
        const { done } = await inTurn(asRequest(id, scopes), (named) =>
          engine.book({ id, scopes, amount, counters: named }),
        )
        await warnOf(done.totals)
      }
      try {
        await booking()
      } catch (error) {
        if (isUnavailable(error)) unbooked.add(`book ${id}`, booking)
        throw error
      }
    },

    async status(scopes) {
      checkScopes(scopes)
      const { named, done } = await inTurn(scopes, (named) => engine.read(named))
      await warnOf(done.totals)
      return named.map((counter, index) => statusOf(counter, done.totals[index] as Totals))
    },

    close() {
      closing ??= end()
      return closing
    },
  }
}

function refusalOf(counter: NamedCounter, { spent, held }: Totals): Refusal {
  const { scope, rule, unit, limit } = counter
  const remaining = Math.max(0, limit - spent - held)
  return { scope, window: rule.window, unit, limit, remaining, resetsAt: resetOf(counter) }
}

function statusOf(counter: NamedCounter, totals: Totals): BudgetStatus {
  const { spent, held, unconfirmed, overrun } = totals
  const startedAt = counter.rule.window === "total" ? undefined : counter.start
  return { ...refusalOf(counter, totals), spent, held, unconfirmed, overrun, startedAt }
}

function resetOf({ end }: NamedCounter): number | undefined {
  return Number.isFinite(end) ? end : undefined
}

/** All that the processes of a ledger must agree on, whatever the order in which each was told. */
function limitsFrom(
  rules: readonly Rule[],
  timeZone: string,
  otherLimits: "refuse" | "replace",
): LedgerLimits {
  if (!(["refuse", "replace"] as readonly string[]).includes(otherLimits)) {
    throw new ConfigError("budget.otherLimits", `"${otherLimits}" is not known`, "use refuse or replace")
  }
  const said = rules.map(({ scope, id, window, unit, limit, warnAt }) =>
    JSON.stringify({ scope, id, window, unit, limit, warnAt }),
  )
  const json = `{"timeZone":${JSON.stringify(timeZone)},"limits":[${said.sort().join(",")}]}`
  return { json, print: (sha256(json) as string).slice(0, 32), replace: otherLimits === "replace" }
}
