import { describe, expect, it } from "vitest"
import { memoryBudget } from "../budget/memory-budget.ts"
import type { BudgetStore } from "../spec/budget.ts"
import { type Amount, nanoUsd } from "../spec/money.ts"
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

  it("holds in none if the second cannot be asked", async () => {
    const first = store("a", 100)
    const broken = { ...store("b", 100), reserve: () => Promise.reject(new Error("down")) }
    const both = bothBudgets(first, broken)
    await expect(both.reserve({ id: "x", scopes: SCOPES, amount: amount(60) })).rejects.toThrow("down")
    expect(await held(first)).toEqual([0])
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
