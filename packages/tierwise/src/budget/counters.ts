import type { Scopes } from "../spec/request.ts"
import type { Counter } from "./ledger-engine.ts"
import { KEPT_AFTER_USE_MS, LATE_CLOSING_MS } from "./ledger-engine.ts"
import { idOf, idUnder, REQUEST_SCOPE, type Rule } from "./limits.ts"
import { type Turn, turnAt } from "./windows.ts"

/** A counter, and what it counts. */
export interface NamedCounter extends Counter {
  /** e.g. `tenant:acme`. */
  readonly scope: string
  readonly rule: Rule
  /** For each of the rule's shares, the amount at which it is reached. */
  readonly marks: readonly number[]
}

/** Knows which counters a call falls under. */
export interface Counters {
  /** In the order of the limits. */
  of(scopes: Scopes, at: number): readonly NamedCounter[]
  /** The counter of a key that this or another process has made; undefined: no limit makes such keys. */
  named(key: string): NamedCounter | undefined
}

/** Counters kept at hand per limit. */
const MOST_AT_HAND = 10_000

/** A rule in the present turn of its window. */
interface Present {
  readonly rule: Rule
  /** Its place among the limits. */
  readonly index: number
  turn: Turn
  readonly counters: Map<string, NamedCounter>
}

export function countersOf(rules: readonly Rule[], timeZone: string): Counters {
  const atHand = new Map<string, NamedCounter>()
  const presents = rules.map(
    (rule, index): Present => ({ rule, index, turn: { start: 0, end: 0 }, counters: new Map() }),
  )
  const general = presents.filter(({ rule }) => rule.id === undefined)
  const special = byScopeAndId(presents)

  function under(present: Present, id: string, at: number): NamedCounter {
    const { rule, counters } = present
    if (!(at >= present.turn.start && at < present.turn.end)) {
      present.turn = turnAt(rule.window, at, timeZone)
      counters.clear()
    }
    // Each call has a counter of its own, which few will ask for by name again.
    if (rule.scope === REQUEST_SCOPE) return counterOf(rule, id, present.turn, at + KEPT_AFTER_USE_MS)
    const known = counters.get(id)
    if (known !== undefined) return known
    if (counters.size >= MOST_AT_HAND) counters.clear()
    const counter = counterOf(rule, id, present.turn, present.turn.end + LATE_CLOSING_MS)
    counters.set(id, counter)
    if (atHand.size >= MOST_AT_HAND) atHand.clear()
    atHand.set(counter.key, counter)
    return counter
  }

  /** The rules for the very ids that a call has: there may be one for each customer. */
  function ownOf(scopes: Scopes): readonly Present[] {
    let own: readonly Present[] = NONE
    for (const [scope, byId] of special) {
      const id = idOf(scope, scopes)
      const found = id === undefined ? undefined : byId.get(id)
      if (found !== undefined) own = own.length === 0 ? found : [...own, ...found]
    }
    return own
  }

  return {
    of(scopes, at) {
      const counters: NamedCounter[] = []
      const own = ownOf(scopes)
      for (const present of own.length === 0 ? general : [...general, ...own].sort(byIndex)) {
        const id = idUnder(present.rule, scopes)
        if (id !== undefined) counters.push(under(present, id, at))
      }
      return counters
    },
    named(key) {
      const known = atHand.get(key)
      if (known !== undefined) return known
      const [scope, id, window, unit, start] = JSON.parse(key) as [string, string, string, string, number]
      const own = special.get(scope)?.get(id) ?? []
      const rule = [...general, ...own].find(
        ({ rule: one }) =>
          one.scope === scope && one.window === window && one.unit === unit && !one.except.has(id),
      )?.rule
      if (rule === undefined) return undefined
      const turn = turnAt(rule.window, start, timeZone)
      return counterOf(rule, id, turn, turn.end + LATE_CLOSING_MS)
    },
  }
}

const NONE: readonly Present[] = []

function byScopeAndId(
  presents: readonly Present[],
): ReadonlyMap<string, ReadonlyMap<string, readonly Present[]>> {
  const special = new Map<string, Map<string, Present[]>>()
  for (const present of presents) {
    const { scope, id } = present.rule
    if (id === undefined) continue
    const byId = special.get(scope) ?? new Map<string, Present[]>()
    byId.set(id, [...(byId.get(id) ?? []), present])
    special.set(scope, byId)
  }
  return special
}

function byIndex(one: Present, other: Present): number {
  return one.index - other.index
}

function counterOf(rule: Rule, id: string, { start, end }: Turn, forgetAt: number): NamedCounter {
  const { scope, window, unit, limit, warnAt } = rule
  return {
    // Names may hold any character; joined by one, two of them could come out as the same.
    key: JSON.stringify([scope, id, window, unit, start]),
    scope: `${scope}:${id}`,
    rule,
    unit,
    limit,
    start,
    end,
    forgetAt,
    marks: warnAt.map((share) => Math.ceil(limit * share)),
  }
}
