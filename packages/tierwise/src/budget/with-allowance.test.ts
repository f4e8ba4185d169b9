import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { BudgetStore } from "../spec/budget.ts"
import { BudgetUnavailableError, ConfigError, InvalidRequestError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { budgetStoreContract } from "../testing/budget-store-contract.ts"
import { memoryBudget } from "./memory-budget.ts"
import { type AllowanceOptions, withAllowance } from "./with-allowance.ts"

const tokens = (count: number) => ({ money: nanoUsd(0), tokens: count })
const holding = (id: string, count: number, tenant = "acme") => ({
  id,
  scopes: { tenant },
  amount: tokens(count),
})
const unavailable = { constructor: BudgetUnavailableError, store: "far away" }

type Trouble =
  | undefined
  | "refuses connections"
  | "loses answers"
  | "hangs"
  | "hangs up when done"
  | "refuses reservations"
  | "refuses releases"

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

/** A store with a limit of 1,000 tokens a tenant, and whatever trouble is wanted. */
function farAway() {
  const inner = memoryBudget({ limits: [{ scope: "tenant", window: "total", tokens: 1_000 }] })
  const state = { trouble: undefined as Trouble, calls: [] as string[] }
  const failed = (problem: string) => new BudgetUnavailableError("far away", problem)
  const store = watched<BudgetStore>({ ...inner, name: "far away" }, async (name, work) => {
    state.calls.push(name)
    if (name === "close") return work()
    if (state.trouble === "refuses connections") throw failed("no connection")
    if (state.trouble === "refuses reservations" && name === "reserve") throw failed("busy script")
    if (state.trouble === "refuses releases" && name === "release") throw failed("busy script")
    if (state.trouble === "hangs") return new Promise(() => {})
    const result = await work()
    if (state.trouble === "hangs up when done") return new Promise(() => {})
    if (state.trouble === "loses answers") throw failed("connection lost")
    return result
  })
  const called = (name: keyof BudgetStore) => state.calls.filter((one) => one === name).length
  return { store, inner, state, called }
}

function world(options: Partial<AllowanceOptions> = {}) {
  const { store, inner, state, called } = farAway()
  const told: string[] = []
  const budget = withAllowance(store, {
    tokens: 100,
    timeoutMs: 500,
    onDown: () => void told.push("down"),
    onBack: () => void told.push("back"),
    ...options,
  })
  return { budget, inner, state, told, called }
}

describe("withAllowance keeps the contract of the store it is around", () => {
  for (const { name, run } of budgetStoreContract((options) =>
    withAllowance(memoryBudget(options), { usd: 1, now: options.now }),
  ))
    it(name, () => expect(run()).resolves.toBeUndefined())
})

describe("withAllowance", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** Long enough for a store that is back to be noticed, and told of everything. */
  const aWhile = () => vi.advanceTimersByTimeAsync(60_000)

  /** What becomes of work that may have to wait for a time to run out. */
  async function soon<T>(work: Promise<T>): Promise<T> {
    const [outcome] = await Promise.all([Promise.allSettled([work]), vi.advanceTimersByTimeAsync(600)])
    if (outcome[0].status === "rejected") throw outcome[0].reason
    return outcome[0].value
  }

  it("leaves everything to a store that answers", async () => {
    const { budget, inner, told } = world()
    expect((await budget.reserve(holding("a", 600))).granted).toBe(true)
    expect(await budget.reserve(holding("b", 600))).toMatchObject({ refusal: { remaining: 400 } })
    await budget.settle("a", tokens(500))
    expect(await inner.status({ tenant: "acme" })).toMatchObject([{ spent: 500, held: 0, overrun: 0 }])
    expect([told, vi.getTimerCount()]).toEqual([[], 0])
  })

  it.each<Trouble>(["refuses connections", "loses answers", "hangs", "hangs up when done"])(
    "grants what the allowance has while the store %s, and fails closed beyond it",
    async (trouble) => {
      const { budget, state, told } = world()
      state.trouble = trouble
      expect(await soon(budget.reserve(holding("a", 60)))).toMatchObject({ granted: true })
      expect((await soon(budget.reserve(holding("b", 40, "other")))).granted).toBe(true)
      await expect(soon(budget.reserve(holding("c", 1)))).rejects.toMatchObject(unavailable)
      await budget.release("b")
      expect((await soon(budget.reserve(holding("d", 40)))).granted).toBe(true)
      expect(told).toEqual(["down"])
    },
  )

  it.each<Trouble>(["refuses connections", "loses answers", "hangs", "hangs up when done"])(
    "books what was spent once, and holds nothing, when the store that %s is back",
    async (trouble) => {
      const { budget, inner, state, told } = world()
      state.trouble = trouble
      await soon(budget.reserve(holding("a", 60)))
      await soon(budget.reserve(holding("b", 30)))
      expect(await budget.settle("a", tokens(45))).toEqual({ late: false, overrun: tokens(0) })
      await budget.release("b")
      expect(await budget.settle("a", tokens(45))).toBeUndefined()
      expect(await budget.release("a")).toBeUndefined()
      expect(await budget.extend("a", 1_000)).toBe(false)
      await aWhile()
      state.trouble = undefined
      await aWhile()
      expect(await inner.status({ tenant: "acme" })).toMatchObject([{ spent: 45, overrun: 45, held: 0 }])
      expect(told).toEqual(["down"])
      await budget.reserve(holding("c", 10))
      expect(told).toEqual(["down", "back"])
    },
  )

  it("has its whole allowance again after each outage, and never lends more than it", async () => {
    const { budget, inner, state, told } = world()
    for (let outage = 1; outage <= 3; outage++) {
      state.trouble = "refuses connections"
      const ids = Array.from({ length: 30 }, (_, index) => `${outage} ${index}`)
      const asked = await Promise.allSettled(ids.map((id) => budget.reserve(holding(id, 10))))
      const granted = ids.filter((_, index) => asked[index]?.status === "fulfilled")
      expect(granted).toHaveLength(10)
      await Promise.all(granted.map((id) => budget.settle(id, tokens(9))))
      state.trouble = undefined
      await aWhile()
      expect(await inner.status({ tenant: "acme" })).toMatchObject([{ spent: outage * 90, held: 0 }])
      await budget.reserve(holding(`${outage} over`, 1))
      await budget.release(`${outage} over`)
    }
    expect(told).toEqual(["down", "back", "down", "back", "down", "back"])
  })

  it("lends its allowance once, however long reservations alone are not answered", async () => {
    const { budget, inner, state, told } = world()
    state.trouble = "refuses reservations"
    for (let second = 0; second < 100; second++) {
      const outcome = await budget.reserve(holding(`${second}`, 10)).catch(() => undefined)
      if (outcome?.granted) await budget.settle(`${second}`, tokens(10))
      await vi.advanceTimersByTimeAsync(1_000)
    }
    expect(await inner.status({ tenant: "acme" })).toMatchObject([{ spent: 100, overrun: 100 }])
    expect(told).toEqual(["down"])
    state.trouble = undefined
    await aWhile()
    // A refusal is an answer too.
    expect(await budget.reserve(holding("too much", 901))).toMatchObject({ granted: false })
    expect(told).toEqual(["down", "back"])
    state.trouble = "refuses reservations"
    expect((await budget.reserve(holding("whole again", 100))).granted).toBe(true)
  })

  it("asks a store that was down for one reservation at a time, until it has answered one", async () => {
    const { budget, called, state } = world()
    state.trouble = "refuses connections"
    await budget.reserve(holding("first", 10))
    state.trouble = "refuses reservations"
    await aWhile()
    state.trouble = "hangs"
    const before = called("reserve")
    const probe = soon(budget.reserve(holding("probe", 10)))
    // No time passes.
    for (const id of ["a", "b"]) expect((await budget.reserve(holding(id, 10))).granted).toBe(true)
    expect(called("reserve") - before).toBe(1)
    expect((await probe).granted).toBe(true)
    state.trouble = undefined
    await aWhile()
    await Promise.all(["c", "d", "e"].map((id) => budget.reserve(holding(id, 10))))
    expect(called("reserve") - before).toBe(2)
    await budget.reserve(holding("f", 10))
    expect(called("reserve") - before).toBe(3)
  })

  it("settles, extends and reads in a store that answers again, before anybody asks for a reservation", async () => {
    const { budget, inner, state } = world()
    await budget.reserve(holding("a", 60))
    state.trouble = "refuses connections"
    await expect(budget.status({ tenant: "acme" })).rejects.toMatchObject(unavailable)
    await expect(budget.status({ tenant: "acme" })).rejects.toThrow("asked again soon")
    state.trouble = undefined
    await aWhile()
    expect(await budget.extend("a", 60_000)).toBe(true)
    expect(await budget.settle("a", tokens(50))).toMatchObject({ late: false })
    expect(await budget.status({ tenant: "acme" })).toEqual(await inner.status({ tenant: "acme" }))
  })

  it("tells of what can never be booked, books the rest, and lends that no more", async () => {
    const { store, inner, state } = farAway()
    const lost: [number, unknown][] = []
    const wrong = new ConfigError("budget.limits", "others", "take these")
    const book: BudgetStore["book"] = (request) =>
      state.trouble === undefined && request.amount.tokens === 7 ? Promise.reject(wrong) : store.book(request)
    const budget = withAllowance(
      new Proxy(store, { get: (target, name) => (name === "book" ? book : Reflect.get(target, name)) }),
      { tokens: 100, onLost: ({ amount }, error) => void lost.push([amount.tokens, error]) },
    )
    state.trouble = "refuses connections"
    for (const count of [7, 10, 20]) {
      await budget.reserve(holding(`${count}`, count))
      await budget.settle(`${count}`, tokens(count))
    }
    await expect(budget.book({ ...holding("past", 7) })).rejects.toMatchObject(unavailable)
    state.trouble = undefined
    await aWhile()
    expect(await inner.status({ tenant: "acme" })).toMatchObject([{ spent: 30 }])
    expect(lost).toEqual([
      [7, wrong],
      [7, wrong],
    ])
    await budget.reserve(holding("back", 1))
    state.trouble = "refuses connections"
    await expect(budget.reserve(holding("a", 94))).rejects.toMatchObject(unavailable)
    expect((await budget.reserve(holding("b", 93))).granted).toBe(true)
  })

  it("lends what costs nothing in a unit that is used up", async () => {
    const { budget, state } = world({ usd: 1 })
    state.trouble = "refuses connections"
    await budget.reserve(holding("a", 100))
    await budget.settle("a", tokens(120))
    const dear = { id: "b", scopes: {}, amount: { money: nanoUsd(5), tokens: 0 } }
    expect((await budget.reserve(dear)).granted).toBe(true)
    await expect(budget.reserve(holding("c", 1))).rejects.toMatchObject(unavailable)
  })

  it("lends nothing twice: what is spent and not booked yet is gone from the allowance", async () => {
    const { budget, state } = world()
    state.trouble = "refuses connections"
    await budget.reserve(holding("a", 60))
    await budget.settle("a", tokens(60))
    await expect(budget.reserve(holding("b", 41))).rejects.toMatchObject(unavailable)
    expect((await budget.reserve(holding("b", 40))).granted).toBe(true)
  })

  it("books a call that goes on until after the store is back when it ends", async () => {
    const { budget, inner, state } = world()
    state.trouble = "refuses connections"
    await budget.reserve(holding("a", 60))
    state.trouble = undefined
    await aWhile()
    expect(await budget.extend("a", 60_000)).toBe(true)
    expect(await budget.settle("a", tokens(70))).toEqual({ late: false, overrun: tokens(10) })
    await vi.advanceTimersByTimeAsync(0)
    expect(await inner.status({ tenant: "acme" })).toMatchObject([{ spent: 70, held: 0 }])
    expect(await budget.settle("a", tokens(70))).toBeUndefined()
    expect(await budget.release("a")).toBeUndefined()
    expect(await budget.extend("a", 1_000)).toBe(false)
  })

  it("settles in the store what was held there before it was down", async () => {
    const { budget, inner, state } = world()
    await budget.reserve(holding("a", 60))
    await budget.reserve(holding("b", 60))
    state.trouble = "hangs"
    await expect(soon(budget.settle("a", tokens(50)))).rejects.toMatchObject(unavailable)
    await expect(soon(budget.release("b"))).rejects.toMatchObject(unavailable)
    await expect(soon(budget.book(holding("c", 5)))).rejects.toMatchObject(unavailable)
    state.trouble = undefined
    await aWhile()
    expect(await inner.status({ tenant: "acme" })).toMatchObject([{ spent: 55, held: 0, overrun: 5 }])
  })

  it("does not let every caller wait for a store that hangs", async () => {
    const { budget, called, state } = world()
    state.trouble = "hangs"
    await soon(budget.reserve(holding("a", 10)))
    // No time passes.
    expect((await budget.reserve(holding("b", 10))).granted).toBe(true)
    expect(called("reserve")).toBe(1)
    state.trouble = undefined
    await aWhile()
    // What it never was asked for, it need not give back.
    expect(called("release")).toBe(1)
  })

  it("gives the same hold of the allowance for the same request, and holds it once", async () => {
    const { budget, state } = world()
    state.trouble = "refuses connections"
    const first = await budget.reserve(holding("a", 60))
    expect(await budget.reserve(holding("a", 60))).toEqual(first)
    await expect(budget.reserve(holding("a", 61))).rejects.toMatchObject({ path: "id" })
    expect((await budget.reserve(holding("b", 40))).granted).toBe(true)
    await budget.release("a")
    await expect(budget.reserve(holding("a", 60))).rejects.toMatchObject({ path: "id" })
  })

  it("gives back what was held unheard, unless it is asked for again before that", async () => {
    const { budget, inner, state } = world({ tokens: 1 })
    state.trouble = "loses answers"
    await expect(budget.reserve(holding("a", 60))).rejects.toMatchObject(unavailable)
    await expect(budget.reserve(holding("b", 30))).rejects.toMatchObject(unavailable)
    await expect(budget.reserve(holding("a", 60))).rejects.toMatchObject(unavailable)
    state.trouble = "refuses releases"
    await aWhile()
    state.trouble = undefined
    expect((await budget.reserve(holding("a", 60))).granted).toBe(true)
    await aWhile()
    expect(await inner.status({ tenant: "acme" })).toMatchObject([{ held: 60 }])
  })

  it("gives back what was held unheard, also after it was asked for again in vain", async () => {
    const { budget, inner, state } = world({ tokens: 1 })
    state.trouble = "loses answers"
    await expect(budget.reserve(holding("a", 60))).rejects.toMatchObject(unavailable)
    await expect(budget.reserve(holding("a", 60))).rejects.toMatchObject(unavailable)
    state.trouble = undefined
    await aWhile()
    expect(await inner.status({ tenant: "acme" })).toMatchObject([{ held: 0, spent: 0 }])
  })

  it("tells that a hold of the allowance is late, and books what nobody has closed for a day", async () => {
    const { budget, inner, state } = world()
    state.trouble = "refuses connections"
    await budget.reserve(holding("a", 20))
    await budget.reserve(holding("lost", 30))
    await budget.reserve(holding("kept", 7))
    await vi.advanceTimersByTimeAsync(400_000)
    expect(await budget.extend("kept", 600_000)).toBe(true)
    await vi.advanceTimersByTimeAsync(200_000)
    expect(await budget.settle("kept", tokens(7))).toMatchObject({ late: false })
    expect(await budget.extend("a", 1_000)).toBe(false)
    expect(await budget.settle("a", tokens(10))).toMatchObject({ late: true })
    await vi.advanceTimersByTimeAsync(86_400_000)
    await budget.reserve(holding("next", 1))
    state.trouble = undefined
    await aWhile()
    expect(await inner.status({ tenant: "acme" })).toMatchObject([{ spent: 47 }])
  })

  it("lends no more than it can remember, however little each is", async () => {
    const { budget, state } = world()
    state.trouble = "refuses connections"
    for (let index = 0; index < 10_000; index++) await budget.reserve(holding(`${index}`, 0))
    await expect(budget.reserve(holding("one more", 0))).rejects.toMatchObject(unavailable)
    await budget.settle("0", tokens(1))
    await expect(budget.reserve(holding("one more", 0))).rejects.toMatchObject(unavailable)
    await budget.release("1")
    expect((await budget.reserve(holding("one more", 0))).granted).toBe(true)
  })

  it("limits money as well as tokens", async () => {
    const { budget, state } = world({ tokens: undefined, usd: 0.5 })
    state.trouble = "refuses connections"
    const asking = (id: string, money: number) =>
      budget.reserve({ id, scopes: {}, amount: { money: nanoUsd(money), tokens: 1e6 } })
    expect((await asking("a", 5e8)).granted).toBe(true)
    await expect(asking("b", 1)).rejects.toMatchObject(unavailable)
  })

  it("takes no bad request, also while the store is down", async () => {
    const { budget, state } = world()
    state.trouble = "refuses connections"
    await budget.reserve(holding("a", 10))
    for (const wrong of [holding("", 1), holding("b", -1), holding("b", 0.5)]) {
      await expect(budget.reserve(wrong)).rejects.toMatchObject({ constructor: ConfigError })
    }
    const nobody = { constructor: InvalidRequestError, path: "scopes.tenant" }
    await expect(budget.reserve(holding("b", 1, ""))).rejects.toMatchObject(nobody)
    await expect(budget.settle("a", tokens(-1))).rejects.toMatchObject({ path: "amount.tokens" })
    expect((await budget.reserve(holding("b", 90))).granted).toBe(true)
  })

  it("passes on what the store refuses or finds wrong, and is not down for it", async () => {
    const { budget, told } = world()
    await budget.reserve(holding("a", 10))
    await expect(budget.reserve(holding("a", 11))).rejects.toMatchObject({ path: "id" })
    expect(told).toEqual([])
  })

  it("says when it is closed how much its store has not heard, and tries all of it before", async () => {
    const { budget, state } = world()
    await budget.reserve(holding("held there", 10))
    state.trouble = "refuses connections"
    await expect(budget.settle("held there", tokens(10))).rejects.toMatchObject(unavailable)
    await budget.reserve(holding("held here", 20))
    await budget.settle("held here", tokens(20))
    const left = { ...unavailable, problem: "2 of its closings and bookings did not reach it" }
    await expect(budget.close()).rejects.toMatchObject(left)
    expect(state.calls.at(-1)).toBe("close")
  })

  it("books what it can when it is closed", async () => {
    const { budget, called, inner, state } = world()
    state.trouble = "refuses connections"
    await budget.reserve(holding("a", 60))
    await budget.settle("a", tokens(45))
    state.trouble = undefined
    await budget.close()
    expect(called("close")).toBe(1)
    expect(await inner.status({ tenant: "acme" })).toMatchObject([{ spent: 45 }])
  })

  it("is not stopped by a listener that throws", async () => {
    const thrower = () => {
      throw new Error("nobody home")
    }
    const rejecter = (async () => Promise.reject(new Error("later"))) as () => void
    for (const listener of [thrower, rejecter]) {
      const { budget, state } = world({ onDown: listener, onBack: listener })
      state.trouble = "refuses connections"
      expect((await budget.reserve(holding("a", 60))).granted).toBe(true)
      state.trouble = undefined
      await aWhile()
      expect((await budget.reserve(holding("b", 600))).granted).toBe(true)
    }
  })

  it.each<[string, Partial<AllowanceOptions>]>([
    ["allowance", { tokens: undefined }],
    ["allowance.usd", { usd: 0 }],
    ["allowance.tokens", { tokens: -1 }],
    ["allowance.timeoutMs", { timeoutMs: 0 }],
  ])("refuses a wrong %s", (path, options) => {
    expect(() => world(options)).toThrow(expect.objectContaining({ constructor: ConfigError, path }))
  })
})
