import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { BudgetWarning } from "../spec/budget.ts"
import { BudgetUnavailableError, ConfigError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { ledger, type SharedBudgetOptions } from "./ledger.ts"
import type { LedgerEngine, LedgerLimits } from "./ledger-engine.ts"
import { memoryEngine } from "./memory-engine.ts"

const NOON = Date.UTC(2026, 0, 15, 12)
const LIMITS: SharedBudgetOptions["limits"] = [{ scope: "global", window: "day", tokens: 100 }]

const tokens = (count: number) => ({ money: nanoUsd(0), tokens: count })
const holding = (id: string, count: number) => ({ id, scopes: {}, amount: tokens(count) })

/** `inner`, each of whose calls goes through `around`. */
function watched<T extends object>(
  inner: T,
  around: (name: string, work: () => Promise<unknown>) => Promise<unknown>,
): T {
  return new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== "function") return member
      return (...args: unknown[]) =>
        around(String(name), async () => Reflect.apply(member, target, args) as unknown)
    },
  })
}

/** An engine that fails when it is told to: `unsent`, before it does anything; `unheard`, after it has done it. */
function fragile(now: () => number = () => NOON) {
  const engine = memoryEngine("ledger", now)
  const state = {
    fails: undefined as "unsent" | "unheard" | undefined,
    opened: 0,
    ended: 0,
    calls: [] as string[],
  }
  const broken = watched<LedgerEngine>(engine, async (name, work) => {
    if (name === "end") state.ended++
    else if (state.fails === "unsent") throw new Error("no connection")
    if (name === "open") state.opened++
    state.calls.push(name)
    const result = await work()
    if (state.fails === "unheard" && name !== "end") throw new Error("connection lost")
    return result
  })
  return { engine: broken, state }
}

function world(options: Partial<SharedBudgetOptions> = {}) {
  const { engine, state } = fragile()
  const warnings: BudgetWarning[] = []
  const onWarning = (warning: BudgetWarning) => void warnings.push(warning)
  const store = ledger(engine, { limits: LIMITS, onWarning, now: () => NOON, ...options })
  return { store, state, warnings }
}

const unavailable = { constructor: BudgetUnavailableError, code: "budget-unavailable", store: "ledger" }

describe("ledger", () => {
  it("opens its engine once for many calls at once, and again after it could not", async () => {
    const { store, state } = world()
    state.fails = "unsent"
    await expect(store.status({})).rejects.toMatchObject(unavailable)
    state.fails = undefined
    await Promise.all([store.status({}), store.status({}), store.reserve(holding("a", 1))])
    await store.status({})
    expect(state.opened).toBe(1)
  })

  it("tells every failure of its engine as a budget that is not available, with its cause", async () => {
    const { store, state } = world()
    await store.reserve(holding("a", 10))
    state.fails = "unsent"
    const works = [
      store.reserve(holding("b", 1)),
      store.settle("a", tokens(1)),
      store.release("a"),
      store.extend("a", 1),
      store.book(holding("c", 1)),
      store.status({}),
    ]
    const told = await Promise.allSettled(works)
    for (const one of told) {
      expect(one).toMatchObject({ status: "rejected", reason: { ...unavailable, problem: "no connection" } })
    }
    state.fails = undefined
    await store.close()
  })

  it("passes on what its engine tells in its own words", async () => {
    const { engine } = fragile()
    const refusal = new ConfigError("budget.limits", "others", "take these")
    const store = ledger({ ...engine, open: () => Promise.reject(refusal) }, { limits: LIMITS })
    await expect(store.reserve(holding("a", 1))).rejects.toBe(refusal)
  })

  it("counts by the clock of its store, and asks twice only until it knows how far that is ahead", async () => {
    const ours = { at: Date.UTC(2026, 0, 15, 23, 59) }
    const { engine, state } = fragile(() => ours.at + 120_000)
    const reserved = () => state.calls.filter((name) => name === "reserve").length
    const store = ledger(engine, { limits: LIMITS, now: () => ours.at })
    expect((await store.reserve(holding("a", 10))).granted).toBe(true)
    expect(reserved()).toBe(2)
    expect(await store.status({})).toMatchObject([{ startedAt: Date.UTC(2026, 0, 16), held: 10 }])
    await store.reserve(holding("b", 10))
    expect(reserved()).toBe(3)
    const refused = await store.reserve(holding("c", 90))
    expect(refused).toMatchObject({ refusal: { remaining: 80, resetsAt: Date.UTC(2026, 0, 17) } })
  })

  it("books and reads by the clock of its store as well", async () => {
    const { engine } = fragile(() => NOON + 86_400_000)
    const store = ledger(engine, { limits: LIMITS, now: () => NOON })
    await store.book(holding("a", 10))
    expect(await store.status({})).toMatchObject([{ spent: 10, startedAt: Date.UTC(2026, 0, 16) }])
    const other = ledger(engine, { limits: LIMITS, now: () => NOON })
    expect(await other.status({})).toMatchObject([{ spent: 10 }])
  })

  it("does not ask for ever where the clock of its store runs wild", async () => {
    let at = NOON
    const { engine } = fragile(() => (at += 86_400_000))
    const store = ledger(engine, { limits: LIMITS, now: () => NOON })
    await expect(store.reserve(holding("a", 1))).rejects.toMatchObject(unavailable)
  })

  it("tells that its ledger has other limits by now, and what to do", async () => {
    const { engine } = fragile()
    const store = ledger(
      { ...engine, reserve: async () => ({ outcome: "other-limits" }) },
      { limits: LIMITS },
    )
    await expect(store.reserve(holding("a", 1))).rejects.toMatchObject({
      constructor: ConfigError,
      path: "budget.limits",
    })
  })

  it("gives every process of one ledger the same print, whatever the order of its limits", async () => {
    const printOf = async (options: SharedBudgetOptions) => {
      const { engine } = fragile()
      let opened: LedgerLimits | undefined
      const open = async (limits: LedgerLimits) => {
        opened = limits
      }
      await ledger({ ...engine, open }, options).status({})
      return opened
    }
    const [a, b] = [
      { scope: "user", window: "day", usd: 1 },
      { scope: "team", window: "day", usd: 1 },
    ] as const
    const one = await printOf({ limits: [a, b] })
    expect(await printOf({ limits: [b, a], timeZone: "UTC" })).toEqual(one)
    const others = await Promise.all([
      printOf({ limits: [a] }),
      printOf({ limits: [a, { ...b, usd: 2 }] }),
      printOf({ limits: [a, { ...b, warnAt: [0.5] }] }),
      printOf({ limits: [a, { ...b, id: "x" }] }),
      printOf({ limits: [a, b], timeZone: "Europe/Berlin" }),
    ])
    expect(new Set([one, ...others].map((limits) => limits?.print)).size).toBe(6)
    expect(await printOf({ limits: [a, b], otherLimits: "replace" })).toEqual({ ...one, replace: true })
  })

  it.each<[string, Partial<SharedBudgetOptions>]>([
    ["budget.otherLimits", { otherLimits: "keep" as never }],
    ["budget.timeZone", { timeZone: "Mars/Base" }],
    ["budget.holdTtlMs", { holdTtlMs: 0 }],
    ["budget.holdTtlMs", { holdTtlMs: Number.NaN }],
    ["budget.holdTtlMs", { holdTtlMs: Number.POSITIVE_INFINITY }],
    ["budget.limits", { limits: [] }],
  ])("refuses a wrong %s", (path, options) => {
    expect(() => world(options)).toThrow(expect.objectContaining({ constructor: ConfigError, path }))
  })

  it("ends its engine when it is closed", async () => {
    const { store, state } = world()
    await store.close()
    expect(state.ended).toBe(1)
  })
})

describe("a ledger whose store was down", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** Long enough for everything that is owed. */
  const aWhile = () => vi.advanceTimersByTimeAsync(60_000)

  it.each(["unsent", "unheard"] as const)(
    "settles once it is back, if the first try was %s, and warns",
    async (fails) => {
      const { store, state, warnings } = world()
      await store.reserve(holding("a", 90))
      state.fails = fails
      await expect(store.settle("a", tokens(85))).rejects.toMatchObject(unavailable)
      await aWhile()
      state.fails = undefined
      await aWhile()
      // Where the settlement was heard of, nobody but the status knows what has been spent since.
      expect(warnings).toHaveLength(fails === "unsent" ? 1 : 0)
      expect(await store.status({})).toMatchObject([{ held: 0, spent: 85 }])
      expect(warnings.map(({ share }) => share)).toEqual([0.8])
    },
  )

  it.each(["unsent", "unheard"] as const)(
    "releases once it is back, if the first try was %s",
    async (fails) => {
      const { store, state } = world()
      await store.reserve(holding("a", 90))
      state.fails = fails
      await expect(store.release("a")).rejects.toMatchObject(unavailable)
      state.fails = undefined
      await aWhile()
      expect(await store.status({})).toMatchObject([{ held: 0, spent: 0 }])
    },
  )

  it.each(["unsent", "unheard"] as const)("books once it is back, if the first try was %s", async (fails) => {
    const { store, state } = world()
    state.fails = fails
    await expect(store.book(holding("a", 90))).rejects.toMatchObject(unavailable)
    state.fails = undefined
    await aWhile()
    expect(await store.status({})).toMatchObject([{ held: 0, spent: 90, overrun: 90 }])
  })

  it.each(["unsent", "unheard"] as const)(
    "holds nothing for whoever was told that it could not, if it was %s",
    async (fails) => {
      const { store, state } = world()
      await store.status({})
      state.fails = fails
      await expect(store.reserve(holding("a", 90))).rejects.toMatchObject(unavailable)
      state.fails = undefined
      await aWhile()
      expect(await store.status({})).toMatchObject([{ held: 0, spent: 0 }])
    },
  )

  it.each(["unsent", "unheard"] as const)(
    "keeps a hold for whoever asks for it again, if it was %s",
    async (fails) => {
      const { store, state } = world()
      await store.status({})
      state.fails = fails
      await expect(store.reserve(holding("a", 90))).rejects.toMatchObject(unavailable)
      state.fails = undefined
      expect((await store.reserve(holding("a", 90))).granted).toBe(true)
      await aWhile()
      expect(await store.status({})).toMatchObject([{ held: 90 }])
      await store.settle("a", tokens(50))
      expect(await store.status({})).toMatchObject([{ held: 0, spent: 50 }])
    },
  )

  it("forgets no settlement because its hold was asked for again", async () => {
    const { store, state } = world()
    await store.reserve(holding("a", 90))
    state.fails = "unsent"
    await expect(store.settle("a", tokens(80))).rejects.toMatchObject(unavailable)
    state.fails = undefined
    await store.reserve(holding("a", 90))
    await aWhile()
    expect(await store.status({})).toMatchObject([{ held: 0, spent: 80 }])
  })

  it("books a settlement and a booking of one id, each once", async () => {
    const { store, state } = world()
    await store.reserve(holding("a", 40))
    state.fails = "unsent"
    await expect(store.settle("a", tokens(30))).rejects.toMatchObject(unavailable)
    await expect(store.book(holding("b", 7))).rejects.toMatchObject(unavailable)
    state.fails = undefined
    await aWhile()
    await store.settle("a", tokens(30))
    await store.book(holding("b", 7))
    expect(await store.status({})).toMatchObject([{ held: 0, spent: 37, overrun: 7 }])
  })

  it("tells it what is owed when it is closed", async () => {
    const { engine, state } = fragile()
    const store = ledger(engine, { limits: LIMITS, now: () => NOON })
    await store.reserve(holding("a", 90))
    state.fails = "unsent"
    await expect(store.settle("a", tokens(80))).rejects.toMatchObject(unavailable)
    state.fails = undefined
    await store.close()
    expect(await ledger(engine, { limits: LIMITS, now: () => NOON }).status({})).toMatchObject([
      { spent: 80 },
    ])
  })

  it("forgets no settlement and no booking, however many calls could not be held", async () => {
    const { store, state } = world()
    await store.reserve(holding("call", 90))
    state.fails = "unsent"
    await expect(store.settle("call", tokens(60))).rejects.toMatchObject(unavailable)
    await expect(store.book(holding("beside", 7))).rejects.toMatchObject(unavailable)
    for (let call = 0; call < 10_000; call++) await store.reserve(holding(`${call}`, 1)).catch(() => {})
    state.fails = undefined
    await aWhile()
    expect(await store.status({})).toMatchObject([{ held: 0, spent: 67 }])
    await store.close()
  })

  it("tries every closing when it is closed, and tells how many did not arrive, each time", async () => {
    const { engine, state } = fragile()
    const isBroken = (id: string) => id === "a" || id === "b"
    const close: LedgerEngine["close"] = (id, actual) =>
      isBroken(id) ? Promise.reject(new Error("its counter holds -1")) : engine.close(id, actual)
    const store = ledger({ ...engine, close }, { limits: LIMITS, now: () => NOON })
    for (const id of ["a", "b", "c"]) await store.reserve(holding(id, 10))
    state.fails = "unsent"
    for (const id of ["a", "b", "c"]) await store.settle(id, tokens(5)).catch(() => {})
    state.fails = undefined
    const left = { ...unavailable, problem: "2 of its closings and bookings did not reach it" }
    await expect(store.close()).rejects.toMatchObject(left)
    await expect(store.close()).rejects.toMatchObject(left)
    expect(state.ended).toBe(1)
    expect(await ledger(engine, { limits: LIMITS, now: () => NOON }).status({})).toMatchObject([
      { spent: 5, held: 20 },
    ])
  })

  it("tells of a closing that its engine will never take when it is closed", async () => {
    const { engine } = fragile()
    const failures = [
      new Error("no connection"),
      new ConfigError("amount.tokens", "beyond counting", "give less"),
    ]
    const close = () => Promise.reject(failures.shift())
    const store = ledger({ ...engine, close }, { limits: LIMITS, now: () => NOON })
    await expect(store.settle("a", tokens(5))).rejects.toMatchObject(unavailable)
    await aWhile()
    await expect(store.close()).rejects.toMatchObject({
      problem: "1 of its closings and bookings did not reach it",
    })
  })

  it("owes nothing to a store that it has never reached", async () => {
    const { store, state } = world()
    state.fails = "unsent"
    await expect(store.reserve(holding("a", 90))).rejects.toMatchObject(unavailable)
    await store.close()
    expect(state.ended).toBe(1)
  })

  it("tells of a hold that may be left behind when it is closed", async () => {
    const { store, state } = world()
    await store.status({})
    state.fails = "unheard"
    await expect(store.reserve(holding("a", 90))).rejects.toMatchObject(unavailable)
    await expect(store.close()).rejects.toMatchObject(unavailable)
  })
})

describe("a ledger's warnings", () => {
  const spend = async (store: ReturnType<typeof ledger>, id: string, count: number) => {
    await store.reserve(holding(id, count))
    return store.settle(id, tokens(count))
  }

  it("go to one of several processes", async () => {
    const { engine } = fragile()
    const told: string[] = []
    const process = (name: string) =>
      ledger(engine, {
        limits: LIMITS,
        now: () => NOON,
        onWarning: ({ share }) => void told.push(`${name} ${share}`),
      })
    const [a, b] = [process("a"), process("b")]
    await spend(a, "1", 80)
    await spend(b, "2", 5)
    await spend(b, "3", 10)
    await Promise.all([a.status({}), b.status({})])
    expect(told).toEqual(["a 0.8", "b 0.95"])
  })

  it("tell of a share that is reached while another process tells of the one below", async () => {
    const { engine } = fragile()
    const shares: number[] = []
    // The other one raises the first level between our settlement and our claim.
    const claim = async (...[counter, level]: Parameters<LedgerEngine["claim"]>) => {
      if (level === 1) await engine.claim(counter, 1)
      return engine.claim(counter, level)
    }
    const onWarning = ({ share }: BudgetWarning) => void shares.push(share)
    const store = ledger({ ...engine, claim }, { limits: LIMITS, now: () => NOON, onWarning })
    await spend(store, "1", 96)
    expect(shares).toEqual([0.95])
  })

  it("cannot undo what was booked: a claim that fails, a listener that throws", async () => {
    const { engine } = fragile()
    const claim = () => Promise.reject(new Error("no connection"))
    const silent = ledger({ ...engine, claim }, { limits: LIMITS, now: () => NOON, onWarning: () => {} })
    expect(await spend(silent, "1", 90)).toMatchObject({ late: false })
    const thrower = () => {
      throw new Error("nobody home")
    }
    const rejecter = (async () => Promise.reject(new Error("the mail server is down"))) as () => void
    for (const onWarning of [thrower, rejecter]) {
      const loud = ledger(fragile().engine, { limits: LIMITS, now: () => NOON, onWarning })
      expect(await spend(loud, "1", 90)).toMatchObject({ late: false })
    }
  })

  it("come with the status, if nobody has told of holds that expired", async () => {
    const clock = { at: NOON }
    const { engine } = fragile(() => clock.at)
    const shares: number[] = []
    const onWarning = ({ share }: BudgetWarning) => void shares.push(share)
    const store = ledger(engine, { limits: LIMITS, now: () => clock.at, onWarning })
    await store.reserve(holding("a", 96))
    clock.at += 600_000
    await store.status({})
    expect(shares).toEqual([0.8, 0.95])
  })

  it("are not claimed where nobody listens", async () => {
    const { engine, state } = fragile()
    const deaf = ledger(engine, { limits: LIMITS, now: () => NOON })
    await spend(deaf, "1", 96)
    expect(state.calls).not.toContain("claim")
  })
})
