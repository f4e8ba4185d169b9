import { LRUCache } from "lru-cache"
import type { BudgetStore, Closing, ReserveOutcome, ReserveRequest } from "../spec/budget.ts"
import { BudgetUnavailableError } from "../spec/errors.ts"
import { type Amount, usdToNano } from "../spec/money.ts"
import { checkLimit, type Spendable } from "./check-limit.ts"
import { checkAmount, checkId, checkRequest, validTtl } from "./check-request.ts"
import { isUnavailable } from "./is-unavailable.ts"
import { beyond, LATE_CLOSING_MS, NOTHING, printOf, takenId } from "./ledger-engine.ts"
import { owed } from "./owed.ts"
import { tell } from "./tell.ts"
import { within } from "./within.ts"

/** The allowance, in `usd`, `tokens` or both: this is what one process can overspend while the store is away. */
export interface AllowanceOptions extends Spendable {
  /** How long the store may take for an answer, ms. Default 2,000. */
  readonly timeoutMs?: number | undefined
  /** Told when the store does not answer: from now on the allowance is used. Not waited for; what it throws is ignored. */
  readonly onDown?: ((error: unknown) => void) | undefined
  /** Told when the store has answered a reservation again. Not waited for; what it throws is ignored. */
  readonly onBack?: (() => void) | undefined
  /**
   * Told of what was spent while the store was down and cannot be booked, e.g. because the ledger has other limits by now: it
   * is in no ledger, and is gone from the allowance for good. Not waited for; what it throws is ignored.
   */
  readonly onLost?: ((booking: ReserveRequest, error: unknown) => void) | undefined
  /** Epoch ms, for holds on the allowance. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

/**
 * `down`: nobody asks the store but whoever tells it what it is owed. `answering`: it has answered that, so that it is asked
 * again, for reservations by one caller at a time; only an answered reservation shows that it is `up`.
 */
type State = "up" | "down" | "answering"

/** A hold on the allowance. */
interface LocalHold {
  readonly request: ReserveRequest
  expiresAt: number
}

const TIMEOUT_MS = 2_000

/** How long a hold on the allowance lives without being extended, ms. */
const HOLD_TTL_MS = 600_000

const LOOK_FOR_LOST_EVERY_MS = 60_000

/** Holds on the allowance, and what was spent of it and is not booked yet: no more fit into memory. */
const MOST_LOCAL = 10_000

/**
 * A budget whose calls go on for a while when its store is down. Without it nobody is called until the store is back.
 *
 * While the store does not answer, holds are granted out of a bounded allowance of this process, whatever their scopes;
 * where it is used up they fail as without it. What was spent of it is booked in the store when that is back, as overrun;
 * when the store has answered a reservation too, the allowance is whole again. A hold whose grant came too late is given back. Calls that were held in the store are
 * settled there when it is back; whoever settles or releases meanwhile is told that it is not available.
 *
 * What was spent of the allowance is known to this process alone until it is booked: a process that ends before, loses it.
 *
 * @throws ConfigError for an allowance of nothing, or a time that is none.
 */
export function withAllowance(store: BudgetStore, options: AllowanceOptions): BudgetStore {
  checkLimit(options, "allowance")
  const { usd, tokens, onDown, onBack, onLost, now = Date.now } = options
  const most = { money: usd === undefined ? undefined : usdToNano(usd), tokens }
  const timeoutMs = validTtl(options.timeoutMs ?? TIMEOUT_MS, "allowance.timeoutMs")
  const holds = new Map<string, LocalHold>()
  /** Closed holds of the allowance: they mean nothing to the store. */
  const closed = new LRUCache<string, true>({ max: MOST_LOCAL })
  /** Of the allowance: held, or spent in this outage, or not booked yet. */
  const used: Sum = { money: 0, tokens: 0 }
  /** Part of `used`: it is booked, and the store has answered no reservation yet. */
  const booked: Sum = { money: 0, tokens: 0 }
  const debts = owed(isUnavailable)
  /** Of the allowance, each under an id of its own. Apart from other debts, of which the oldest are given up. */
  const bookings = owed(isUnavailable)
  let state: State = "up"
  let isProbing = false
  let nextLookForLost = 0

  /** Asks the store, unless it is known to be down. */
  async function ask<T>(work: () => Promise<T>): Promise<T> {
    if (state === "down") throw notAsked()
    try {
      return await inTime(work)
    } catch (error) {
      if (isUnavailable(error)) goDown(error)
      throw error
    }
  }

  function notAsked(): BudgetUnavailableError {
    return new BudgetUnavailableError(store.name, "it did not answer, and is asked again soon")
  }

  function inTime<T>(work: () => Promise<T>): Promise<T> {
    return within(store.name, timeoutMs, work)
  }

  function goDown(error: unknown): void {
    if (state === "down") return
    const wasUp = state === "up"
    state = "down"
    owe("answer", () => store.status({}))
    if (wasUp) tell(onDown, error)
  }

  /** Whatever the store is told in the end shows that it answers. */
  function answering(work: () => Promise<unknown>): () => Promise<void> {
    return async () => {
      await work()
      if (state === "down") state = "answering"
    }
  }

  function goUp(): void {
    if (state === "up") return
    state = "up"
    add(used, booked, -1)
    booked.money = booked.tokens = 0
    tell(onBack)
  }

  function isAsked(): boolean {
    return state === "up" || (state === "answering" && !isProbing)
  }

  /** The first reservation after an outage shows whether the store is up, and the others do not wait for it. */
  async function reserveThere(request: ReserveRequest): Promise<ReserveOutcome> {
    const isProbe = state === "answering"
    if (isProbe) isProbing = true
    try {
      // Whoever asks again wants the hold, and knows of it from now on.
      await debts.drop(`reserve ${request.id}`)
      const outcome = await ask(() => store.reserve(request))
      if (isProbe) goUp()
      return outcome
    } catch (error) {
      // It may be held there all the same, or be held yet.
      if (isUnavailable(error)) owe(`reserve ${request.id}`, () => store.release(request.id))
      throw error
    } finally {
      if (isProbe) isProbing = false
    }
  }

  function owe(name: string, work: () => Promise<unknown>): void {
    const inItsTime = () => inTime(work)
    debts.add(name, answering(inItsTime))
  }

  /** Undefined: the allowance has no room for it. */
  function holdHere(request: ReserveRequest): ReserveOutcome | undefined {
    forgetLost()
    const { id, amount } = request
    const known = holds.get(id)
    if (closed.has(id) || (known !== undefined && printOf(known.request) !== printOf(request))) {
      throw takenId(id)
    }
    if (known === undefined) {
      const fits = hasRoom("money", amount) && hasRoom("tokens", amount)
      if (!fits || holds.size + bookings.size >= MOST_LOCAL) return undefined
      add(used, amount, 1)
    }
    const hold = known ?? { request, expiresAt: now() + HOLD_TTL_MS }
    holds.set(id, hold)
    return {
      granted: true,
      reservation: { id, amount: { ...amount }, expiresAt: hold.expiresAt, ttlMs: HOLD_TTL_MS },
    }
  }

  function hasRoom(unit: keyof Amount, amount: Amount): boolean {
    return amount[unit] === 0 || used[unit] + amount[unit] <= (most[unit] ?? Number.MAX_SAFE_INTEGER)
  }

  /** A hold that nobody has closed for a day may have been billed. */
  function forgetLost(): void {
    if (now() < nextLookForLost) return
    nextLookForLost = now() + LOOK_FOR_LOST_EVERY_MS
    for (const [id, hold] of holds) {
      if (hold.expiresAt + LATE_CLOSING_MS <= now()) closeHere(id, hold, hold.request.amount)
    }
  }

  function closeHere(id: string, { request, expiresAt }: LocalHold, actual: Amount): Closing {
    const { scopes, amount: held } = request
    holds.delete(id)
    closed.set(id, true)
    add(used, held, -1)
    if (actual.money > 0 || actual.tokens > 0) {
      add(used, actual, 1)
      // The hold's own id is closed in the store, in case that it arrived there.
      oweBooking({ id: crypto.randomUUID(), scopes, amount: actual })
    }
    return { late: expiresAt <= now(), overrun: beyond(actual, held) }
  }

  function oweBooking(booking: ReserveRequest): void {
    const work = async () => {
      await bookLate(booking)
      add(state === "up" ? used : booked, booking.amount, state === "up" ? -1 : 1)
    }
    bookings.add(booking.id, answering(work))
    if (state !== "down") void bookings.flush()
  }

  /** What the store will never book is set aside: nobody else knows of it. */
  async function bookLate(booking: ReserveRequest): Promise<void> {
    try {
      await inTime(() => store.book(booking))
    } catch (error) {
      if (!isUnavailable(error)) tell(onLost, booking, error)
      throw error
    }
  }

  async function close(
    id: string,
    given: Amount,
    closeThere: (actual: Amount) => Promise<Closing | undefined>,
  ) {
    checkId(id)
    const actual = checkAmount(given)
    const work = () => closeThere(actual)
    const hold = holds.get(id)
    if (hold !== undefined) return closeHere(id, hold, actual)
    if (closed.has(id)) return undefined
    try {
      return await ask(work)
    } catch (error) {
      if (isUnavailable(error)) owe(`close ${id}`, work)
      throw error
    }
  }

  return {
    name: store.name,

    async reserve(given) {
      const request = checkRequest(given)
      const { id } = request
      const known = holds.has(id) || closed.has(id) ? holdHere(request) : undefined
      if (known !== undefined) return known
      try {
        if (!isAsked()) throw notAsked()
        return await reserveThere(request)
      } catch (error) {
        const outcome = isUnavailable(error) ? holdHere(request) : undefined
        if (outcome === undefined) throw error
        return outcome
      }
    },

    settle: (id, actual) => close(id, actual, (actual) => store.settle(id, actual)),

    release: (id) => close(id, NOTHING, () => store.release(id)),

    async extend(id, ttlMs) {
      checkId(id)
      validTtl(ttlMs, "ttlMs")
      const hold = holds.get(id)
      if (hold === undefined) return closed.has(id) ? false : ask(() => store.extend(id, ttlMs))
      if (hold.expiresAt <= now()) return false
      hold.expiresAt = now() + ttlMs
      return true
    },

    async book(given) {
      const request = checkRequest(given)
      try {
        await ask(() => store.book(request))
      } catch (error) {
        const later = () => bookLate(request)
        if (isUnavailable(error)) debts.add(`book ${request.id}`, answering(later))
        throw error
      }
    },

    status: (scopes) => ask(() => store.status(scopes)),

    async close() {
      // Only to see whether the store is up.
      await debts.drop("answer")
      await Promise.all([debts.end(), bookings.end()])
      await store.close()
      const untold = debts.size + debts.givenUp + bookings.size + bookings.givenUp
      if (untold === 0) return
      throw new BudgetUnavailableError(store.name, `${untold} of its closings and bookings did not reach it`)
    },
  }
}

interface Sum {
  money: number
  tokens: number
}

function add(sum: Sum, { money, tokens }: Sum, sign: 1 | -1): void {
  sum.money += sign * money
  sum.tokens += sign * tokens
}
