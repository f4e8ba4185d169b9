import { FakeListChatModel } from "@langchain/core/utils/testing"
import { describe, expect, it, vi } from "vitest"
import { memoryBudget } from "../budget/memory-budget.ts"
import type { BudgetStore } from "../spec/budget.ts"
import type { Candidate } from "../spec/catalog.ts"
import { ConfigError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { NO_USAGE } from "../spec/usage.ts"
import { holdMoney } from "./hold-money.ts"

const limits = [{ scope: "tenant", window: "day" as const, usd: 1e-6, tokens: 100 }]
const candidate: Candidate = {
  deployment: {
    id: "d",
    tier: "light",
    model: new FakeListChatModel({ responses: ["ok"] }),
    price: "free",
    profile: {},
    labels: {},
    weight: 1,
  },
  quote: { money: nanoUsd(900), tokens: 90 },
  maxOutputTokens: 10,
}

function held(budget: BudgetStore, signal?: AbortSignal) {
  const problems: unknown[] = []
  const onProblem = (error: unknown) => void problems.push(error)
  const outcome = holdMoney({ budget, scopes: { tenant: "acme" }, signal, onProblem }, candidate)
  return { outcome, problems }
}

async function holdIn(budget: BudgetStore) {
  const { outcome, problems } = held(budget)
  const granted = await outcome
  if (!granted.granted) throw new Error("the hold was refused")
  return { hold: granted.hold, problems }
}

describe("holdMoney", () => {
  it("holds the quote for the caller, and settles money, input and output by what they were", async () => {
    const budget = memoryBudget({ limits })
    const { hold } = await holdIn(budget)
    expect((await budget.status({ tenant: "acme" })).map((status) => status.held)).toEqual([900, 90])
    await hold.settle({ usage: { ...NO_USAGE, inputTokens: 30, outputTokens: 12 }, cost: nanoUsd(250) })
    expect(await budget.status({ tenant: "acme" })).toMatchObject([
      { held: 0, spent: 250 },
      { held: 0, spent: 42 },
    ])
  })

  it("gives back what was not spent", async () => {
    const budget = memoryBudget({ limits })
    const { hold } = await holdIn(budget)
    await hold.release()
    expect(await budget.status({ tenant: "acme" })).toMatchObject([
      { held: 0, spent: 0 },
      { held: 0, spent: 0 },
    ])
  })

  it("shares no hold: a second one for the same candidate is another", async () => {
    const budget = memoryBudget({ limits: [{ scope: "tenant", window: "day", tokens: 1_000 }] })
    await holdIn(budget)
    await holdIn(budget)
    expect(await budget.status({ tenant: "acme" })).toMatchObject([{ held: 180 }])
  })

  it("says who was refused, and the quote that did not fit", async () => {
    const budget = memoryBudget({ limits })
    await budget.reserve({ id: "other", scopes: { tenant: "acme" }, amount: candidate.quote })
    expect(await held(budget).outcome).toMatchObject({
      granted: false,
      refusal: { scope: "tenant:acme", remaining: 100 },
      quote: candidate.quote,
    })
  })

  it("waits for no slow store once the caller has gone, and gives back what is granted then", async () => {
    const store = memoryBudget({ limits })
    let answer = () => {}
    const open = new Promise<void>((resolve) => {
      answer = resolve
    })
    const reserve: BudgetStore["reserve"] = async (request) => {
      await open
      return store.reserve(request)
    }
    const released: string[] = []
    const release: BudgetStore["release"] = async (id) => {
      await store.release(id)
      released.push(id)
    }
    const abort = new AbortController()
    const { outcome } = held({ ...store, reserve, release }, abort.signal)
    abort.abort(new Error("enough"))
    await expect(outcome).rejects.toThrow("enough")
    answer()
    await expect.poll(() => released).toHaveLength(1)
    expect(await store.status({ tenant: "acme" })).toMatchObject([{ held: 0 }, { held: 0 }])
  })

  it("loses no answer to a store that cannot close, and tells of it", async () => {
    const full = new Error("disk full")
    const store = memoryBudget({ limits })
    const broken = { ...store, settle: () => Promise.reject(full), release: () => Promise.reject(full) }
    const { hold, problems } = await holdIn(broken)
    await hold.settle({ usage: undefined, cost: nanoUsd(1) })
    await hold.release()
    expect(problems).toMatchObject([{ cause: full }, { cause: full }])
  })

  it("holds nothing, and says which budget is to blame, when the store fails", async () => {
    const gone = new Error("connection refused")
    const budget = { ...memoryBudget({ limits }), name: "shared", reserve: () => Promise.reject(gone) }
    await expect(held(budget).outcome).rejects.toMatchObject({
      code: "budget-unavailable",
      store: "shared",
      problem: "connection refused",
      cause: gone,
    })
    const refusal = new ConfigError("budget.limits", "they are others", "use the same")
    const other = { ...budget, reserve: () => Promise.reject(refusal) }
    await expect(held(other).outcome).rejects.toBe(refusal)
  })

  it("extends the hold as long as the call goes on, also after the store failed to once", async () => {
    vi.useFakeTimers()
    try {
      const extended: number[] = []
      const store = memoryBudget({ limits, holdTtlMs: 900 })
      const extend: BudgetStore["extend"] = async (id, ttlMs) => {
        extended.push(Date.now())
        if (extended.length === 1) throw new Error("not now")
        return store.extend(id, ttlMs)
      }
      const { hold } = await holdIn({ ...store, extend })
      const from = Date.now()
      let goesOn = true
      const letGo = hold.keep(() => goesOn)
      await vi.advanceTimersByTimeAsync(2_700)
      expect(extended.map((at) => at - from)).toEqual([
        300, 600, 900, 1_200, 1_500, 1_800, 2_100, 2_400, 2_700,
      ])
      expect(await store.status({ tenant: "acme" })).toMatchObject([{ held: 900 }, { held: 90 }])
      goesOn = false
      await vi.advanceTimersByTimeAsync(900)
      expect(extended).toHaveLength(9)
      expect(await store.status({ tenant: "acme" })).toMatchObject([
        { unconfirmed: 900 },
        { unconfirmed: 90 },
      ])
      letGo()
      goesOn = true
      await vi.advanceTimersByTimeAsync(900)
      expect(extended).toHaveLength(9)
    } finally {
      vi.useRealTimers()
    }
  })
})
