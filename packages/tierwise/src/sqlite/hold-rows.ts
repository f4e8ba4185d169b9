import {
  BOOKED_ID_MS,
  CLOSED_ID_MS,
  type EngineClosed,
  type Entry,
  LATE_CLOSING_MS,
  NOTHING,
  printOf,
  share,
} from "../budget/ledger-engine.ts"
import { BudgetUnavailableError, TierwiseError } from "../spec/errors.ts"
import { type Amount, nanoUsd } from "../spec/money.ts"
import type { CounterChange, CounterRow, CounterRows, CounterRowsOptions } from "./counter-rows.ts"
import { impossible, moment, readable } from "./readable.ts"
import { NUMBERS_EACH } from "./schema.ts"

/**
 * `held` is live, `unconfirmed` expired; both are closed as `settled`, or as `released` if nothing was spent. `booked`
 * was spent without a hold, `unknown` closed without one.
 */
export type HoldState = "held" | "unconfirmed" | "settled" | "released" | "booked" | "unknown"

export interface HoldRow {
  /** Its place in the table; rises in each ledger. */
  readonly number: number
  readonly id: string
  readonly state: HoldState
  /** `printOf` what was asked for; undefined for `unknown`. */
  readonly request: string | undefined
  /** Keys of the counters it was made in. */
  readonly counters: readonly string[]
  readonly quoted: Amount
  /** What was spent, once it is closed. */
  readonly actual: Amount
  /** Epoch ms. */
  readonly expiresAt: number
  /** When it expires or, in any state but `held`, when its row may be dropped; epoch ms. */
  readonly dueAt: number
}

/**
 * One ledger's holds. What is live, and what the counters' table has not counted yet, stays at hand until others have
 * written.
 */
export interface HoldRows {
  /** How many have come, or gone, since the counters' table was told. */
  readonly uncounted: number
  /** True for a change to what is counted already: the counters' table must be told in this transaction. */
  readonly mustCount: boolean
  /** Says before the holds come whether the counters' table is told of them in this transaction. */
  willCount: boolean
  /** The counters' table is told of all there is. */
  count(): void
  /** A hold that is over by now has expired, and a row that may be dropped is: it does not matter who has swept. */
  find(id: string): HoldRow | undefined
  /** Adds a hold, and gives the moment at which it expires; undefined if there is a row of its id. */
  add(entry: Entry, ttlMs: number): number | undefined
  extend(hold: HoldRow, ttlMs: number): void
  close(hold: HoldRow, actual: Amount): EngineClosed
  /** Keeps the id of what was closed without being held, or is closed once more. */
  remember(id: string, known: HoldRow | undefined, actual: Amount): void
  book(entry: Entry): void
  /** Expires so many at most of those that are over. */
  expire(most: number): void
  /** Drops so many at most that need not be kept, of those after the first `from`; 0: from the beginning. */
  forget(from: number, most: number): Looked
}

export interface Looked {
  readonly through: number
  /** True if it is worth while to look on at once. */
  readonly isMore: boolean
}

export interface HoldRowsOptions extends CounterRowsOptions {
  readonly counters: CounterRows
  readonly keepClosedMs: number
  /** How many of its holds, in the order of their numbers, the counters' table has counted. */
  readonly counted: number
}

/** As it stands in the table. */
interface Read {
  readonly number: number
  readonly id: string
  readonly state: HoldState
  readonly request: string | null
  readonly counters: string
  readonly quoted_money: number
  readonly quoted_tokens: number
  readonly actual_money: number | null
  readonly actual_tokens: number | null
  readonly expires_at: number | null
  readonly due_at: number
}

type Kept = { -readonly [Name in keyof HoldRow]: HoldRow[Name] }

const STATES: readonly HoldState[] = ["held", "unconfirmed", "settled", "released", "booked", "unknown"]

/** Live holds kept at hand. */
const MOST_AT_HAND = 10_000

/** Rows that are looked through at a time for some to drop. There is no index: it would cost each hold more. */
const LOOKED_THROUGH = 1_000

export function holdRows(options: HoldRowsOptions): HoldRows {
  const { store, ledger, prepared, counters, at, keepClosedMs } = options
  const atHand = new Map<string, Kept>()
  let uncounted: Kept[] = []
  /** The numbers of this ledger are above the one and up to the other. */
  const [below, greatest] = [ledger * NUMBERS_EACH, (ledger + 1) * NUMBERS_EACH - 1]
  let counted = below + options.counted
  let last = counted
  let mustCount = false
  let willCount = false
  /** True if a hold may have to be filed when it is counted. */
  let isUnfiled = false
  /** Most holds count in the same counters as the one before. */
  let [lastText, lastKeys]: [unknown, readonly string[] | undefined] = [undefined, undefined]
  /** No hold is due before. */
  let dueFrom = Number.POSITIVE_INFINITY

  const came = readable(store, "last holds", () => prepared.holdsAfter.all(counted, greatest)) as Read[]
  for (const read of came) {
    const hold = rowFrom(read)
    counters.add(countersOf(hold), (row) => countOf(hold, row))
    take(hold)
    isUnfiled = true
  }
  dueFrom = firstDue()

  const keptUntil = (state?: HoldState) =>
    moment(at() + (state === "booked" ? Math.max(BOOKED_ID_MS, keepClosedMs) : keepClosedMs))

  function rowFrom(read: Read): Kept {
    const { number, id, state, request, expires_at, due_at } = read
    const { quoted_money, quoted_tokens, actual_money, actual_tokens } = read
    if (read.counters !== lastText) [lastText, lastKeys] = [read.counters, keysIn(read.counters)]
    const keys = lastKeys
    const isOpen = state === "held" || state === "unconfirmed"
    const counts = isOpen ? [expires_at] : [actual_money, actual_tokens]
    const isSound =
      STATES.includes(state) &&
      [quoted_money, quoted_tokens, due_at, ...counts].every(isCount) &&
      (request === null ? !isOpen : typeof request === "string")
    if (!isSound || keys === undefined) throw impossible(store, `hold "${id}"`, read)
    const quoted = { money: nanoUsd(quoted_money), tokens: quoted_tokens }
    const actual = { money: nanoUsd(actual_money ?? 0), tokens: actual_tokens ?? 0 }
    return {
      number,
      id,
      state,
      request: request ?? undefined,
      counters: keys,
      quoted,
      actual,
      expiresAt: expires_at ?? 0,
      dueAt: due_at,
    }
  }

  function read(id: string): Kept | undefined {
    const read = readable(store, `hold "${id}"`, () => prepared.hold.get(ledger, id)) as Read | undefined
    return read === undefined ? undefined : rowFrom(read)
  }

  function take(hold: Kept): void {
    last = hold.number
    uncounted.push(hold)
    atHand.set(hold.id, hold)
    if (hold.state === "held") dueFrom = Math.min(dueFrom, hold.dueAt)
  }

  /** What is unconfirmed may outlive its counters; what is held does not. */
  function countersOf({ id, state, counters: keys }: HoldRow): readonly CounterRow[] {
    return keys.flatMap((key) => {
      const row = counters.find(key)
      if (row !== undefined) return [row]
      if (state === "unconfirmed") return []
      throw new BudgetUnavailableError(
        store,
        `its hold "${id}" counts in ${key}, of which the row is missing`,
      )
    })
  }

  function expire(hold: Kept): void {
    counters.add(countersOf(hold), (row) => {
      const quoted = share(hold.quoted, row)
      return { held: -quoted, spent: quoted, unconfirmed: quoted, openHolds: -1 }
    })
    if (hold.number <= counted) mustCount = true
    hold.dueAt = moment(hold.expiresAt + Math.max(LATE_CLOSING_MS, keepClosedMs))
    hold.state = "unconfirmed"
    prepared.expireHold.run(hold.dueAt, hold.number)
  }

  function addClosed(
    id: string,
    state: "booked" | "unknown",
    actual: Amount,
    entry: Entry | undefined,
  ): void {
    const [number, dueAt, keys] = [last + 1, keptUntil(state), entry?.counters.map(({ key }) => key) ?? []]
    const request = entry && printOf(entry)
    const { money, tokens } = actual
    const [kept, named] = [request ?? null, textOf(keys)]
    prepared.addClosed.run(number, ledger, id, state, kept, named, money, tokens, at(), dueAt)
    take({ number, id, state, request, counters: keys, quoted: NOTHING, actual, expiresAt: 0, dueAt })
  }

  function dueIds(most: number): readonly string[] {
    const filed = prepared.dueHolds.all(ledger, at(), most) as { readonly id: string }[]
    const unfiled = uncounted.filter(({ state, dueAt }) => state === "held" && dueAt <= at())
    return [...filed, ...unfiled].slice(0, most).map(({ id }) => id)
  }

  /** When the first hold is due, or before. */
  function firstDue(): number {
    const { at: filed } = prepared.firstDue.get(ledger) as { readonly at: number | null }
    const unfiled = uncounted.filter(({ state }) => state === "held").map(({ dueAt }) => dueAt)
    return Math.min(filed ?? Number.POSITIVE_INFINITY, ...unfiled)
  }

  return {
    get uncounted() {
      return last - counted
    },

    get mustCount() {
      return mustCount
    },

    count() {
      if (isUnfiled) prepared.fileHolds.run(counted, last)
      for (const { id, state } of uncounted) if (state !== "held") atHand.delete(id)
      if (atHand.size > MOST_AT_HAND) atHand.clear()
      if (last > counted) prepared.setCounted.run(last - below, ledger)
      uncounted = []
      counted = last
      mustCount = isUnfiled = false
    },

    get willCount() {
      return willCount
    },

    set willCount(will) {
      willCount = will
    },

    find(id) {
      const hold = atHand.get(id) ?? read(id)
      if (hold === undefined) return undefined
      if (hold.state === "held" && hold.dueAt <= at()) expire(hold)
      if (hold.dueAt > at()) return hold
      prepared.dropHold.run(hold.number)
      atHand.delete(id)
      if (hold.number > counted) mustCount = true
      return undefined
    },

    add(entry, ttlMs) {
      const { id, amount, counters: named } = entry
      const number = last + 1
      const { money, tokens } = amount
      const dueAt = moment(at() + ttlMs)
      const request = printOf(entry)
      const keys = named.map(({ key }) => key)
      const { changes } = prepared.addHold.run(
        number,
        ledger,
        id,
        request,
        textOf(keys),
        money,
        tokens,
        at(),
        dueAt,
        dueAt,
        willCount ? 1 : 0,
      )
      if (Number(changes) === 0) return undefined
      counters.add(
        named.map((counter) => counters.present(counter)),
        (row) => ({ held: share(amount, row), openHolds: 1 }),
      )
      const state = "held"
      isUnfiled ||= !willCount
      take({
        number,
        id,
        state,
        request,
        counters: keys,
        quoted: amount,
        actual: NOTHING,
        expiresAt: dueAt,
        dueAt,
      })
      return dueAt
    },

    extend(hold, ttlMs) {
      const dueAt = moment(at() + ttlMs)
      const kept: Kept = hold
      kept.expiresAt = kept.dueAt = dueAt
      dueFrom = Math.min(dueFrom, dueAt)
      prepared.extendHold.run(dueAt, dueAt, hold.number)
    },

    close(hold, actual) {
      const late = hold.state === "unconfirmed"
      const rows = countersOf(hold)
      counters.add(rows, (row) => {
        const quoted = share(hold.quoted, row)
        const cost = share(actual, row)
        const overrun = Math.max(0, cost - quoted)
        return late
          ? { spent: cost - quoted, unconfirmed: -quoted, overrun }
          : { spent: cost, held: -quoted, overrun, openHolds: -1 }
      })
      const { money, tokens } = actual
      const state: HoldState = money === 0 && tokens === 0 ? "released" : "settled"
      const dueAt = keptUntil()
      const kept: Kept = hold
      kept.state = state
      kept.actual = actual
      kept.dueAt = dueAt
      if (hold.number <= counted) {
        mustCount = true
        atHand.delete(hold.id)
      }
      prepared.closeHold.run(state, money, tokens, at(), dueAt, hold.number)
      return { late, held: hold.quoted, totals: rows.map(({ key }) => counters.totals(key)) }
    },

    remember(id, known, actual) {
      const until = moment(at() + CLOSED_ID_MS)
      if (known === undefined) addClosed(id, "unknown", actual, undefined)
      else if (known.dueAt < until) {
        prepared.keepHold.run(until, known.number)
        const kept: Kept = known
        kept.dueAt = until
      }
    },

    book(entry) {
      const { id, amount, counters: named } = entry
      counters.add(
        named.map((counter) => counters.present(counter)),
        (row) => {
          const cost = share(amount, row)
          return { spent: cost, overrun: cost }
        },
      )
      addClosed(id, "booked", amount, entry)
    },

    expire(most) {
      if (at() < dueFrom) return
      for (const id of dueIds(most)) {
        try {
          expire(atHand.get(id) ?? (read(id) as Kept))
        } catch (error) {
          // It stays held, and is told of to whoever asks for it: one broken row does not stop all others.
          if (!TierwiseError.isInstance(error)) throw error
        }
      }
      dueFrom = firstDue()
    },

    forget(from, most) {
      const { found, last: end } = prepared.someHolds.get(below + from, greatest, LOOKED_THROUGH) as {
        readonly found: number
        readonly last: number | null
      }
      const { changes } = prepared.forgetHolds.run(below + from, end, at(), most)
      if (Number(changes) >= most) return { through: from, isMore: true }
      const through = found < LOOKED_THROUGH || end === null ? 0 : end - below
      return { through, isMore: Number(changes) > 0 && through > 0 }
    },
  }
}

/** What a hold adds, in all, to a counter. */
function countOf({ state, quoted, actual }: HoldRow, row: CounterRow): CounterChange {
  const [held, spent] = [share(quoted, row), share(actual, row)]
  if (state === "held") return { held, openHolds: 1 }
  if (state === "unconfirmed") return { spent: held, unconfirmed: held }
  return { spent, overrun: Math.max(0, spent - held) }
}

/** The counters' keys are JSON themselves. */
function textOf(keys: readonly string[]): string {
  return `[${keys.join(",")}]`
}

function keysIn(text: unknown): readonly string[] | undefined {
  try {
    const keys: unknown = typeof text === "string" ? JSON.parse(text) : undefined
    return Array.isArray(keys) ? keys.map((key) => JSON.stringify(key)) : undefined
  } catch {
    return undefined
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
