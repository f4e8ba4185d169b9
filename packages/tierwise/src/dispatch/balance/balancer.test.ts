import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../../spec/errors.ts"
import type { BalanceKind } from "../../spec/traffic.ts"
import { type Balanced, type Balancer, balancer } from "./balancer.ts"
import { latencyStats } from "./latency-stats.ts"

const KINDS: readonly BalanceKind[] = [
  "cheapest",
  "weighted",
  "round-robin",
  "least-in-flight",
  "lowest-latency",
]

const one = (id: string, weight = 1, price?: number): Balanced => ({ id, weight, price })
const ids = (ones: readonly Balanced[]) => ones.map(({ id }) => id)
const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, i) => make(i))

/** Chance that is the same in every run (mulberry32). */
function chance(seed = 1): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function world(kind: BalanceKind, random = chance()) {
  const clock = { at: 1_000_000 }
  const balance = balancer(kind, { now: () => clock.at, random })
  return Object.assign(clock, balance)
}

/** How often each came first. */
function firsts(
  balance: Balancer,
  among: readonly Balanced[],
  count: number,
  inBetween: () => void = () => {},
): Record<string, number> {
  const came: Record<string, number> = Object.fromEntries(among.map(({ id }) => [id, 0]))
  for (let turn = 0; turn < count; turn++) {
    inBetween()
    const first = balance.order(among)[0]?.id ?? "none"
    came[first] = (came[first] ?? 0) + 1
  }
  return came
}

describe("balancer", () => {
  it("puts the cheapest first, what has no price behind, and equals in an order drawn by weight", () => {
    const balance = world("cheapest")
    const among = [one("unknown"), one("dear", 9, 5), one("cheap", 1, 2), one("spare", 0, 1)]
    expect(ids(balance.order(among))).toEqual(["cheap", "dear", "unknown", "spare"])
    const equals = [one("three", 3, 1), one("one", 1, 1)]
    const { three = 0 } = firsts(balance, equals, 4_000)
    expect(three).toBeGreaterThan(2_900)
    expect(three).toBeLessThan(3_100)
  })

  it("draws by weight, also for the places behind the first", () => {
    const balance = world("weighted")
    const among = [one("a", 6), one("b", 3), one("c", 1)]
    const { a = 0, b = 0, c = 0 } = firsts(balance, among, 10_000)
    for (const [came, share] of [
      [a, 0.6],
      [b, 0.3],
      [c, 0.1],
    ] as const) {
      expect(Math.abs(came / 10_000 - share)).toBeLessThan(0.015)
    }
    const orders = times(10_000, () => ids(balance.order(among)).join(""))
    const afterA = orders.filter((order) => order.startsWith("a"))
    const abc = afterA.filter((order) => order === "abc").length / afterA.length
    expect(Math.abs(abc - 0.75)).toBeLessThan(0.02)
  })

  it("takes turns as often as the weights say, and spreads them", () => {
    const among = [one("a", 5), one("b", 1), one("c", 1)]
    const balance = world("round-robin")
    for (let round = 0; round < 3; round++) {
      const turns = times(7, () => balance.order(among)[0]?.id).join("")
      expect(["aabacaa", "aacabaa"]).toContain(turns)
    }
  })

  it("takes everybody once in each round where weights are equal", () => {
    const among = [one("a"), one("b"), one("c"), one("spare", 0)]
    const balance = world("round-robin")
    for (let round = 0; round < 5; round++) {
      expect(times(3, () => balance.order(among)[0]?.id ?? "").sort()).toEqual(["a", "b", "c"])
    }
  })

  it("puts first who has the fewest calls running for its weight", () => {
    const balance = world("least-in-flight")
    const among = [one("a"), one("b"), one("big", 4)]
    const calls = [balance.began("a"), balance.began("big"), balance.began("big")]
    expect(ids(balance.order(among))).toEqual(["big", "b", "a"])
    calls.push(balance.began("big"), balance.began("big"))
    expect(ids(balance.order(among))).toEqual(["b", "big", "a"])
    for (const call of calls) call.ended(1)
    expect(balance.statsOf("big").inFlight).toBe(0)
  })

  it("takes the faster of two, counts those that wait there, and comes back to it", () => {
    const balance = world("lowest-latency")
    const among = [one("slow"), one("fast")]
    balance.began("slow").ended(3_000)
    balance.began("fast").ended(1_000)
    expect(ids(balance.order(among))).toEqual(["fast", "slow"])
    const waiting = times(3, () => balance.began("fast"))
    expect(ids(balance.order(among))).toEqual(["slow", "fast"])
    for (const call of waiting) call.ended()
    expect(ids(balance.order(among))).toEqual(["fast", "slow"])
  })

  it("spreads those that come in one moment, of which none has begun yet", () => {
    const among = [one("slow"), one("fast")]
    const busy = world("lowest-latency")
    busy.began("slow").ended(3_000)
    busy.began("fast").ended(1_000)
    expect(firsts(busy, among, 8)).toEqual({ fast: 6, slow: 2 })
    const even = world("least-in-flight")
    const still = even.began("slow")
    expect(firsts(even, among, 9)).toEqual({ fast: 5, slow: 4 })
    // What was sent there has begun by now, or goes elsewhere.
    even.at += 5
    expect(even.order(among)[0]?.id).toBe("fast")
    still.ended()
  })

  it("leaves who fails fast alone for a while", () => {
    const balance = world("lowest-latency")
    const among = [one("broken"), one("slow")]
    balance.began("slow").ended(3_000)
    balance.began("broken").failed(2)
    expect(ids(balance.order(among))).toEqual(["slow", "broken"])
  })

  it("sends one call to find out where nothing is known, and the others elsewhere until it has", () => {
    const balance = world("lowest-latency")
    const among = [one("known"), one("new")]
    balance.began("known").ended(1_000)
    expect(balance.order(among)[0]?.id).toBe("new")
    const trial = balance.began("new")
    expect(balance.order(among)[0]?.id).toBe("known")
    trial.ended(200)
    expect(balance.order(among)[0]?.id).toBe("new")
  })

  it("tries who was slow again after a while", () => {
    const balance = world("lowest-latency")
    const among = [one("was-slow"), one("steady")]
    balance.began("was-slow").ended(20_000)
    let tried = 0
    for (; tried < 1_000; tried++) {
      balance.began("steady").ended(1_000)
      balance.at += 1_000
      if (balance.order(among)[0]?.id === "was-slow") break
    }
    expect(tried).toBeGreaterThan(60)
    expect(tried).toBeLessThanOrEqual(180)
  })

  it("never puts the slowest of three first, and the second sometimes: two are drawn, the better one comes first", () => {
    const balance = world("lowest-latency")
    const among = [one("first"), one("second"), one("third")]
    for (const [index, { id }] of among.entries()) balance.began(id).ended(1_000 * (index + 1))
    const came = firsts(balance, among, 3_000, () => (balance.at += 5))
    expect(came["third"]).toBe(0)
    expect(Math.abs((came["second"] ?? 0) / 3_000 - 1 / 3)).toBeLessThan(0.04)
    expect(ids(balance.order(among)).slice(1).sort()).toHaveLength(2)
  })

  it("shares what others measured, if they share their stats", () => {
    const now = () => 0
    const stats = latencyStats({ now })
    const [here, there] = times(2, () => balancer("least-in-flight", { now, random: chance(), stats }))
    here?.began("a")
    expect(ids(there?.order([one("a"), one("b")]) ?? [])).toEqual(["b", "a"])
  })

  it("refuses a kind that there is not", () => {
    for (const kind of ["fastest", "toString", undefined]) {
      expect(() => world(kind as BalanceKind)).toThrow(ConfigError)
    }
  })

  const entry = fc.tuple(fc.constantFrom(0, 0.5, 1, 3), fc.option(fc.nat(3), { nil: undefined }))
  const group = fc
    .array(entry, { maxLength: 8 })
    .map((entries) => entries.map(([weight, price], index) => one(`${index}`, weight, price)))
  const busy = fc.array(fc.tuple(fc.nat(7), fc.option(fc.nat(9_000), { nil: undefined })), { maxLength: 12 })
  const session = fc.option(fc.string(), { nil: undefined })

  it("loses nobody, invents nobody and keeps weight 0 behind, whatever the kind, the chance and the traffic", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...KINDS),
        group,
        busy,
        session,
        fc.nat(),
        (kind, among, calls, session, seed) => {
          const balance = world(kind, chance(seed))
          const before = structuredClone(among)
          for (const [index, ms] of calls) {
            const call = balance.began(`${index}`)
            if (ms !== undefined) call.ended(ms)
            const order = balance.order(among, { session })
            expect(ids(order).sort()).toEqual(ids(among).sort())
            const spare = order.findIndex(({ weight }) => weight === 0)
            expect(order.slice(spare).every(({ weight }) => spare < 0 || weight === 0)).toBe(true)
          }
          expect(among).toEqual(before)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe("a session", () => {
  const sessions = times(10_000, (index) => `session-${index}`)
  const placesOf = (among: readonly Balanced[]) => {
    const balance = world("round-robin")
    return sessions.map((session) => balance.order(among, { session })[0]?.id)
  }

  it("is always sent to the same one, by every balancer of any kind, wherever it stands in the list", () => {
    const group = fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(group, fc.string(), fc.nat(), (names, session, seed) => {
        const among = names.map((id) => one(id))
        const orders = KINDS.map((kind, index) => {
          const balance = world(kind, chance(seed + index))
          balance.began(names[0] ?? "").failed(1)
          return ids(balance.order(index % 2 === 0 ? among : among.toReversed(), { session }))
        })
        for (const order of orders) expect(order).toEqual(orders[0])
      }),
    )
  })

  it("is spread by weight", () => {
    const places = placesOf([one("eu", 1), one("us", 2), one("asia", 5), one("spare", 0)])
    for (const [id, share] of Object.entries({ eu: 1 / 8, us: 2 / 8, asia: 5 / 8, spare: 0 })) {
      const came = places.filter((place) => place === id).length / sessions.length
      expect(Math.abs(came - share)).toBeLessThan(0.015)
    }
  })

  it("moves only with the one that leaves, and only to the one that joins; nobody else changes places", () => {
    const weight = fc.constantFrom(0.5, 1, 2, 7)
    const group = fc.uniqueArray(fc.tuple(fc.string(), weight), {
      minLength: 2,
      maxLength: 7,
      selector: ([id]) => id,
    })
    const some = fc.array(fc.string(), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(group, fc.nat(6), some, (entries, at, sessions) => {
        const all = entries.map(([id, weight]) => one(id, weight))
        const gone = all[at % all.length]?.id
        const rest = all.filter(({ id }) => id !== gone)
        const balance = world("weighted")
        for (const session of sessions) {
          const order = ids(balance.order(all, { session }))
          expect(ids(balance.order(rest, { session }))).toEqual(order.filter((id) => id !== gone))
        }
      }),
      { numRuns: 300 },
    )
  })

  it("moves in proportion to the share of the one that joins, and to it alone", () => {
    const before = placesOf([one("a"), one("b"), one("c")])
    const after = placesOf([one("a"), one("b"), one("c"), one("d")])
    const moved = after.filter((place, index) => place !== before[index])
    expect(new Set(moved)).toEqual(new Set(["d"]))
    expect(Math.abs(moved.length / sessions.length - 0.25)).toBeLessThan(0.015)
  })
})
