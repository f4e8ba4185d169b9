import type { BudgetUnit } from "../spec/budget.ts"
import type { Amount } from "../spec/money.ts"
import {
  BOOKED_ID_MS,
  beyondCounting,
  type Counter,
  type EngineClosed,
  type Entry,
  KEPT_AFTER_USE_MS,
  LATE_CLOSING_MS,
  type LedgerEngine,
  NOTHING,
  printOf,
  share,
  type Totals,
  type Turned,
} from "./ledger-engine.ts"

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

/** Small, and nothing of its counter but what is needed: there is one for every request of the last hour. */
interface Count extends Writable<Totals> {
  readonly unit: BudgetUnit
  forgetAt: number
  /** Holds that can still be closed in it. */
  open: number
}

interface Hold {
  readonly entry: Entry
  readonly counts: readonly Count[]
  expiresAt: number
  hasExpired: boolean
}

/** What is left of an id that holds nothing any more. */
const OVER = "over"

const SLOT_MS = 100

/** How often, ms, it is begun to throw away what nobody will ask for any more. */
const CLEAN_EVERY_MS = 60_000

/** How many counters one step looks at for that: no call waits for a look at millions. */
const CLEANED_PER_STEP = 256

/** Closed ids that are remembered at least; nothing repeats a call inside one process but a mistake. */
const LEAST_CLOSED_IDS = 10_000

/** A ledger's numbers in this process. Each method works in one turn of the event loop: nothing comes in between. */
export function memoryEngine(name: string, now: () => number): LedgerEngine {
  const counts = new Map<string, Count>()
  /** Every id that is known, in one map: with one for each state a hold and its settlement took a third longer. */
  const ids = new Map<string, Hold | typeof OVER>()
  /** In the order in which they expired. */
  const expired = new Set<Hold>()
  /** Live holds by the tenth of a second in which they expire: what is over is found without a look at all. */
  const due = new Map<number, Set<Hold>>()
  /** The latest ids that were closed: a ring, whose next place is the one filled longest ago. */
  const closed: string[] = []
  let nextClosed = 0
  /** When each id may be forgotten, in the order in which they were booked. */
  const booked = new Map<string, number>()
  /** No hold is due in a slot before, and none expires before. */
  let firstSlot = Number.POSITIVE_INFINITY
  let nextExpiry = Number.POSITIVE_INFINITY
  let nextCleaning = Number.NEGATIVE_INFINITY
  let cleaning: Iterator<Count> | undefined

  /** The count of a counter that is used now. */
  const countOf = ({ key, unit, forgetAt }: Counter): Count => {
    const known = counts.get(key)
    if (known !== undefined) {
      known.forgetAt = Math.max(known.forgetAt, forgetAt)
      return known
    }
    const count = { ...zeroOf(key), unit, forgetAt, open: 0 }
    counts.set(key, count)
    return count
  }

  const totalsOf = ({ key }: Counter): Totals => {
    const count = counts.get(key)
    return count === undefined ? zeroOf(key) : copyOf(count)
  }

  function sweep(at: number): void {
    if (at >= nextExpiry) expireAll(at)
    if (at >= nextCleaning) clean(at)
  }

  function file(hold: Hold): void {
    const slot = slotOf(hold)
    const filed = due.get(slot)
    if (filed === undefined) due.set(slot, new Set([hold]))
    else filed.add(hold)
    if (slot < firstSlot) firstSlot = slot
    if (hold.expiresAt < nextExpiry) nextExpiry = hold.expiresAt
  }

  function unfile(hold: Hold): void {
    const slot = slotOf(hold)
    const filed = due.get(slot)
    filed?.delete(hold)
    if (filed?.size === 0) due.delete(slot)
  }

  function expireAll(at: number): void {
    while (firstSlot * SLOT_MS <= at) {
      nextExpiry = Number.POSITIVE_INFINITY
      for (const hold of due.get(firstSlot) ?? []) {
        if (hold.expiresAt <= at) expire(hold)
        else if (hold.expiresAt < nextExpiry) nextExpiry = hold.expiresAt
      }
      if (nextExpiry < Number.POSITIVE_INFINITY) return
      firstSlot = Number.POSITIVE_INFINITY
      for (const slot of due.keys()) if (slot < firstSlot) firstSlot = slot
    }
    nextExpiry = firstSlot * SLOT_MS
  }

  function expire(hold: Hold): void {
    unfile(hold)
    hold.hasExpired = true
    expired.add(hold)
    for (const count of hold.counts) {
      const quoted = share(hold.entry.amount, count)
      count.held -= quoted
      count.spent += quoted
      count.unconfirmed += quoted
    }
  }

  function clean(at: number): void {
    if (cleaning === undefined) {
      forgetExpired(at)
      forgetBooked(at)
    }
    cleaning ??= counts.values()
    for (let looked = 0; looked < CLEANED_PER_STEP; looked++) {
      const { done, value } = cleaning.next()
      if (done === true) {
        cleaning = undefined
        nextCleaning = at + CLEAN_EVERY_MS
        return
      }
      if (value.open === 0 && value.forgetAt <= at) counts.delete(value.key)
    }
  }

  function forgetExpired(at: number): void {
    for (const hold of expired) {
      if (hold.expiresAt + LATE_CLOSING_MS > at) continue
      expired.delete(hold)
      ids.delete(hold.entry.id)
      for (const count of hold.counts) count.open--
    }
  }

  function forgetBooked(at: number): void {
    for (const [id, until] of booked) {
      if (until > at) return
      booked.delete(id)
      ids.delete(id)
    }
  }

  function remember(id: string): void {
    const oldest = closed[nextClosed]
    if (oldest !== undefined) ids.delete(oldest)
    closed[nextClosed] = id
    nextClosed = (nextClosed + 1) % LEAST_CLOSED_IDS
    ids.set(id, OVER)
  }

  /** Before anything is changed: an amount is booked in all counters or in none. */
  function checkRoom(changed: readonly Count[], added: Amount, quoted: Amount): void {
    for (const count of changed) {
      const after = count.spent + count.held - share(quoted, count) + share(added, count)
      if (!Number.isSafeInteger(after)) throw beyondCounting(name, count.unit)
    }
  }

  return {
    name,
    open: async () => {},

    async reserve(entry, ttlMs) {
      const at = now()
      sweep(at)
      const known = ids.get(entry.id)
      if (known !== undefined) {
        const isSame = known !== OVER && printOf(known.entry) === printOf(entry)
        return isSame ? { outcome: "granted", expiresAt: known.expiresAt } : { outcome: "taken" }
      }
      const turned = turnedAt(entry.counters, at)
      if (turned !== undefined) return turned
      const { amount, counters } = entry
      for (const counter of counters) {
        const count = counts.get(counter.key)
        const used = count === undefined ? 0 : count.spent + count.held
        const wanted = share(amount, counter)
        if (wanted > 0 && used + wanted > counter.limit)
          return { outcome: "refused", totals: totalsOf(counter) }
      }
      const held = counters.map(countOf)
      for (const count of held) {
        count.held += share(amount, count)
        count.open++
      }
      const hold: Hold = { entry, counts: held, expiresAt: at + ttlMs, hasExpired: false }
      ids.set(entry.id, hold)
      file(hold)
      return { outcome: "granted", expiresAt: hold.expiresAt }
    },

    async close(id, actual): Promise<EngineClosed | undefined> {
      const at = now()
      sweep(at)
      const hold = ids.get(id)
      if (hold === OVER) return undefined
      if (hold !== undefined) checkRoom(hold.counts, actual, hold.entry.amount)
      remember(id)
      if (hold === undefined) return undefined
      const late = hold.hasExpired
      if (late) expired.delete(hold)
      else unfile(hold)
      for (const count of hold.counts) {
        const quoted = share(hold.entry.amount, count)
        const cost = share(actual, count)
        if (late) {
          count.spent -= quoted
          count.unconfirmed -= quoted
        } else count.held -= quoted
        count.spent += cost
        count.overrun += Math.max(0, cost - quoted)
        count.forgetAt = Math.max(count.forgetAt, at + KEPT_AFTER_USE_MS)
        count.open--
      }
      return { late, held: hold.entry.amount, totals: hold.counts }
    },

    async extend(id, ttlMs) {
      const at = now()
      sweep(at)
      const hold = ids.get(id)
      if (hold === undefined || hold === OVER || hold.hasExpired) return false
      unfile(hold)
      hold.expiresAt = at + ttlMs
      file(hold)
      return true
    },

    async book(entry) {
      const at = now()
      sweep(at)
      const turned = turnedAt(entry.counters, at)
      if (turned !== undefined) return turned
      if (ids.has(entry.id)) return { outcome: "booked", totals: entry.counters.map(totalsOf) }
      const changed = entry.counters.map(countOf)
      checkRoom(changed, entry.amount, NOTHING)
      booked.set(entry.id, at + BOOKED_ID_MS)
      ids.set(entry.id, OVER)
      for (const count of changed) {
        const cost = share(entry.amount, count)
        count.spent += cost
        count.overrun += cost
      }
      return { outcome: "booked", totals: changed }
    },

    async read(counters) {
      const at = now()
      sweep(at)
      return turnedAt(counters, at) ?? { outcome: "read", totals: counters.map(totalsOf) }
    },

    async claim(counter, level) {
      const count = counts.get(counter.key)
      if (count?.warned !== level - 1) return false
      count.warned = level
      return true
    },

    end: async () => {},
  }
}

function slotOf({ expiresAt }: Hold): number {
  return Math.floor(expiresAt / SLOT_MS)
}

function zeroOf(key: string): Totals {
  return { key, spent: 0, held: 0, unconfirmed: 0, overrun: 0, warned: 0 }
}

function copyOf({ key, spent, held, unconfirmed, overrun, warned }: Totals): Totals {
  return { key, spent, held, unconfirmed, overrun, warned }
}

function turnedAt(counters: readonly Counter[], at: number): Turned | undefined {
  for (const { start, end } of counters) if (at < start || at >= end) return { outcome: "turned", now: at }
  return undefined
}
