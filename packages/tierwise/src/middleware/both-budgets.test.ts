import { describe, expect, it, vi } from "vitest"
import { memoryBudget } from "../budget/memory-budget.ts"
import { holdMoney } from "../route/hold-money.ts"
import type { BudgetStore } from "../spec/budget.ts"
import { type Amount, nanoUsd } from "../spec/money.ts"
import { agentAccounts } from "./agent-accounts.ts"
import { bothBudgets } from "./both-budgets.ts"

const amount = (money: number): Amount => ({ money: nanoUsd(money), tokens: 0 })
const store = (scope: string, nano: number) =>
  memoryBudget({ limits: [{ scope, window: "total", usd: nano / 1e9 }] })
const SCOPES = { a: "1", b: "1" }
const held = async (budget: BudgetStore) => (await budget.status(SCOPES)).map(({ held }) => held)

describe("bothBudgets", () => {
  it("holds and settles in both", async () => {
    const both = bothBudgets(store("a", 100), store("b", 100))
    await both.reserve({ id: "x", scopes: SCOPES, amount: amount(60) })
    expect(await held(both)).toEqual([60, 60])
    expect(await both.extend("x", 1_000)).toBe(true)
    await both.settle("x", amount(5))
    expect(await both.status(SCOPES)).toMatchObject([
      { scope: "a:1", spent: 5, held: 0 },
      { scope: "b:1", spent: 5, held: 0 },
    ])
    expect(await both.extend("x", 1_000)).toBe(false)
  })

  it("tells what became of a hold: late if it was late in one of them", async () => {
    let at = 0
    const short = memoryBudget({
      limits: [{ scope: "a", window: "total", usd: 1 }],
      holdTtlMs: 1_000,
      now: () => at,
    })
    for (const both of [bothBudgets(short, store("b", 100)), bothBudgets(store("b", 100), short)]) {
      const id = crypto.randomUUID()
      const outcome = await both.reserve({ id, scopes: SCOPES, amount: amount(60) })
      expect(outcome).toMatchObject({ reservation: { ttlMs: 1_000, expiresAt: at + 1_000 } })
      at += 1_000
      expect(await both.settle(id, amount(70))).toEqual({ late: true, overrun: amount(10) })
      expect(await both.settle(id, amount(70))).toBeUndefined()
      expect(await both.release(id)).toBeUndefined()
    }
  })

  it("books in both, and closes both", async () => {
    const closed: string[] = []
    const named = (name: string) => ({
      ...store(name, 100),
      name,
      close: async () => void closed.push(name),
    })
    const both = bothBudgets(named("a"), named("b"))
    await both.book({ id: "x", scopes: SCOPES, amount: amount(7) })
    expect(await both.status(SCOPES)).toMatchObject([
      { spent: 7, overrun: 7 },
      { spent: 7, overrun: 7 },
    ])
    await both.close()
    expect([closed, both.name]).toEqual([["a", "b"], "b"])
  })

  it.each([
    ["first", 10, 100],
    ["second", 100, 10],
  ])("holds in none if the %s refuses", async (_, a, b) => {
    const both = bothBudgets(store("a", a), store("b", b))
    expect(await both.reserve({ id: "x", scopes: SCOPES, amount: amount(60) })).toMatchObject({
      granted: false,
    })
    expect(await held(both)).toEqual([0, 0])
  })

  it("holds in none if one of both cannot be asked", async () => {
    const sound = store("a", 100)
    const broken = { ...store("b", 100), reserve: () => Promise.reject(new Error("down")) }
    for (const both of [bothBudgets(sound, broken), bothBudgets(broken, sound)]) {
      const id = crypto.randomUUID()
      await expect(both.reserve({ id, scopes: SCOPES, amount: amount(60) })).rejects.toThrow("down")
      expect(await held(sound)).toEqual([0])
    }
  })

  it("holds nothing in the first for a caller who goes away while the second does not answer", async () => {
    const agent = agentAccounts({ perRun: { usd: 1e-6 } }).store
    const far = store("b", 100)
    let answer = () => {}
    let isReleased = false
    const silent: BudgetStore = {
      ...far,
      release: async (id) => {
        isReleased = true
        return far.release(id)
      },
      reserve: async (request) => {
        await new Promise<void>((resolve) => (answer = resolve))
        return far.reserve(request)
      },
    }
    const gone = new AbortController()
    const scopes = { run: "r" }
    const holding = holdMoney(
      { budget: bothBudgets(agent, silent), scopes, signal: gone.signal, onProblem: () => {} },
      { quote: amount(60) },
    )
    gone.abort(new Error("nobody waits"))
    await expect(holding).rejects.toThrow("nobody waits")
    expect(await agent.status(scopes)).toMatchObject([{ held: 0 }])
    answer()
    await vi.waitFor(() => expect(isReleased).toBe(true))
    expect(await held(far)).toEqual([0])
    expect(await agent.status(scopes)).toMatchObject([{ held: 0, spent: 0 }])
  })

  it("tells of the first's refusal, also where the second cannot be given its hold back", async () => {
    const second = { ...store("b", 100), release: () => Promise.reject(new Error("down")) }
    const both = bothBudgets(store("a", 10), second)
    const outcome = await both.reserve({ id: "x", scopes: SCOPES, amount: amount(60) })
    expect(outcome).toMatchObject({ granted: false, refusal: { scope: "a:1" } })
  })

  it("closes in one where the other fails, and says so", async () => {
    const second = store("b", 100)
    const both = bothBudgets(
      { ...store("a", 100), settle: () => Promise.reject(new Error("disk full")) },
      second,
    )
    await both.reserve({ id: "x", scopes: SCOPES, amount: amount(60) })
    await expect(both.settle("x", amount(5))).rejects.toThrow("disk full")
    expect(await second.status(SCOPES)).toMatchObject([{ spent: 5, held: 0 }])
  })
})
