import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../spec/errors.ts"
import { type Amount, nanoUsd } from "../spec/money.ts"
import { type AgentLimits, agentAccounts } from "./agent-accounts.ts"

const SCOPES = { run: "r", thread: "t" }
const amount = (money: number, tokens = 0): Amount => ({ money: nanoUsd(money), tokens })
/** 1,000 NanoUsd a run, 1,500 a thread. */
const LIMITS: AgentLimits = { perRun: { usd: 1e-6 }, perThread: { usd: 1.5e-6 } }

describe("agentAccounts", () => {
  it("holds in run and thread, or in neither", async () => {
    const { store } = agentAccounts(LIMITS)
    await store.reserve({ id: "a", scopes: { run: "r1", thread: "t" }, amount: amount(900) })
    const outcome = await store.reserve({ id: "b", scopes: { run: "r2", thread: "t" }, amount: amount(700) })
    expect(outcome).toMatchObject({
      granted: false,
      refusal: { scope: "thread:t", limit: 1_500, remaining: 600 },
    })
    expect(await store.status({ run: "r2" })).toMatchObject([{ held: 0, spent: 0 }])
  })

  it("replaces a hold by its cost once, or gives it back", async () => {
    const { store } = agentAccounts(LIMITS)
    await store.reserve({ id: "a", scopes: SCOPES, amount: amount(400) })
    await store.settle("a", amount(150))
    await store.settle("a", amount(150))
    await store.reserve({ id: "b", scopes: SCOPES, amount: amount(400) })
    await store.release("b")
    expect(await store.status({ run: "r" })).toMatchObject([{ held: 0, spent: 150, remaining: 850 }])
  })

  it("gives the same reservation for the same id", async () => {
    const { store } = agentAccounts(LIMITS)
    const once = await store.reserve({ id: "a", scopes: SCOPES, amount: amount(600) })
    expect(await store.reserve({ id: "a", scopes: SCOPES, amount: amount(600) })).toEqual(once)
    expect(await store.extend("a", 1)).toBe(true)
    await store.release("a")
    expect(await store.extend("a", 1)).toBe(false)
  })

  it("never grants more than the limit, whatever the order of holds and closings", async () => {
    const step = fc.record({
      id: fc.nat(5),
      money: fc.nat(700),
      end: fc.constantFrom("settle", "release", "stay"),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { store } = agentAccounts(LIMITS)
        for (const [index, { money, end }] of steps.entries()) {
          const id = `${index}`
          const { granted } = await store.reserve({ id, scopes: SCOPES, amount: amount(money) })
          if (granted && end === "settle") await store.settle(id, amount(Math.floor(money / 2)))
          if (granted && end === "release") await store.release(id)
          for (const { spent, held, limit } of await store.status(SCOPES)) {
            expect(spent + held).toBeLessThanOrEqual(limit)
          }
        }
      }),
      { numRuns: 50 },
    )
  })

  it("tells what became of a hold, and what was spent beyond it", async () => {
    const { store } = agentAccounts(LIMITS)
    await store.reserve({ id: "a", scopes: SCOPES, amount: amount(400, 10) })
    expect(await store.settle("a", amount(450, 4))).toEqual({ late: false, overrun: amount(50, 0) })
    expect(await store.settle("a", amount(450, 4))).toBeUndefined()
    expect(await store.release("unknown")).toBeUndefined()
    expect(await store.status({ run: "r" })).toMatchObject([{ spent: 450, overrun: 50, remaining: 550 }])
  })

  it("shares no hold, and holds nothing for an id that is closed", async () => {
    const { store } = agentAccounts(LIMITS)
    const reserve = (money: number) => store.reserve({ id: "a", scopes: SCOPES, amount: amount(money) })
    await reserve(400)
    await expect(reserve(401)).rejects.toMatchObject({ constructor: ConfigError, path: "id" })
    await store.release("a")
    await expect(reserve(400)).rejects.toMatchObject({ path: "id" })
    expect(await store.status(SCOPES)).toMatchObject([{ held: 0 }, { held: 0 }])
  })

  it("books what was spent without a hold once, and never refuses it", async () => {
    const { store } = agentAccounts(LIMITS)
    const past = { id: "past", scopes: SCOPES, amount: amount(1_200) }
    await store.book(past)
    await store.book(past)
    const spent = { spent: 1_200, overrun: 1_200 }
    expect(await store.status(SCOPES)).toMatchObject([
      { ...spent, remaining: 0 },
      { ...spent, remaining: 300 },
    ])
  })

  it("takes no amount that is none, and none that it could not count", async () => {
    const { store } = agentAccounts(LIMITS)
    await store.reserve({ id: "a", scopes: SCOPES, amount: amount(400) })
    const wrong = { constructor: ConfigError, path: "amount.money" }
    const negative = { ...amount(0), money: -1 } as Amount
    await expect(store.settle("a", negative)).rejects.toMatchObject(wrong)
    await store.book({ id: "past", scopes: SCOPES, amount: amount(5) })
    await expect(store.settle("a", amount(Number.MAX_SAFE_INTEGER))).rejects.toMatchObject(wrong)
    expect(await store.status({ run: "r" })).toMatchObject([{ held: 400, spent: 5 }])
  })

  it("limits tokens apart from money", async () => {
    const { store } = agentAccounts({ perRun: { usd: 1, tokens: 10 } })
    const outcome = await store.reserve({ id: "a", scopes: SCOPES, amount: amount(1, 11) })
    expect(outcome).toMatchObject({ granted: false, refusal: { unit: "tokens", limit: 10 } })
  })

  it("refuses nothing that costs nothing, however much is spent", async () => {
    const { store } = agentAccounts(LIMITS)
    await store.book({ id: "past", scopes: SCOPES, amount: amount(1_600) })
    expect((await store.reserve({ id: "a", scopes: SCOPES, amount: amount(0, 50) })).granted).toBe(true)
    expect((await store.reserve({ id: "b", scopes: SCOPES, amount: amount(1) })).granted).toBe(false)
  })

  it("raises a limit once per key", async () => {
    const accounts = agentAccounts(LIMITS)
    accounts.raise("run", "r", "first", amount(500))
    accounts.raise("run", "r", "first", amount(500))
    accounts.raise("run", "r", "second", amount(100))
    expect(await accounts.store.status({ run: "r" })).toMatchObject([{ limit: 1_600 }])
  })

  it("takes over what a checkpoint knows, and never less than it knows itself", async () => {
    const accounts = agentAccounts(LIMITS)
    await accounts.store.book({ id: "past", scopes: SCOPES, amount: amount(300, 7) })
    const balance = accounts.balanceOf("thread", "t")
    const other = agentAccounts(LIMITS)
    other.restore("thread", "t", balance)
    expect(other.balanceOf("thread", "t")).toEqual({ money: 300, tokens: 7, raises: {} })
    other.restore("thread", "t", { money: 100, tokens: 1, raises: { key: amount(5) } })
    expect(other.balanceOf("thread", "t")).toEqual({ money: 300, tokens: 7, raises: { key: amount(5) } })
  })

  it("watches a run's holds, and remembers the cheapest refusal", async () => {
    const accounts = agentAccounts(LIMITS)
    const watch = accounts.watch("r")
    for (const money of [5_000, 2_000, 9_000, 10]) {
      await accounts.store.reserve({ id: `${money}`, scopes: SCOPES, amount: amount(money) })
    }
    expect(watch).toMatchObject({ refused: { quote: { money: 2_000 } } })
  })

  it("forgets a run that is over, and not its thread", async () => {
    const accounts = agentAccounts(LIMITS)
    await accounts.store.book({ id: "past", scopes: SCOPES, amount: amount(300) })
    accounts.forget("r")
    expect(await accounts.store.status(SCOPES)).toMatchObject([{ spent: 0 }, { spent: 300 }])
  })

  it.each<[string, AgentLimits]>([
    ["perRun", {}],
    ["perThread", { perThread: {} }],
    ["perRun.usd", { perRun: { usd: 0 } }],
    ["perRun.usd", { perRun: { usd: Number.NaN } }],
    ["perThread.tokens", { perThread: { tokens: 1.5 } }],
  ])("refuses limits that limit nothing, naming %s", (path, limits) => {
    expect(() => agentAccounts(limits)).toThrow(ConfigError)
    expect(() => agentAccounts(limits)).toThrow(`${path}: `)
  })
})
