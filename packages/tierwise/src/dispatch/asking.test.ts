import { describe, expect, it } from "vitest"
import type { Attempt } from "../spec/dispatch.ts"
import { BudgetExceededError, BudgetUnavailableError, CandidatesExhaustedError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { SOME_HOLD, SOME_SETTINGS, target } from "../testing/scripted-dispatch.ts"
import { newAsking } from "./asking.ts"
import type {
  Admission,
  DispatchCandidate,
  DispatchOptions,
  DispatchSettings,
  HoldOutcome,
} from "./dispatch-options.ts"

const [a, b] = [target("a"), target("b")]

const refusal = {
  scope: "tenant:a",
  window: "day",
  unit: "NanoUsd",
  limit: 5,
  remaining: 1,
  resetsAt: 0,
} as const
const refusedAt = (money: number): HoldOutcome => ({
  granted: false,
  refusal,
  quote: { money: nanoUsd(money), tokens: 1 },
})
const notNow = (because: "cooling-down" | "saturated" | "too-large", until?: number): Admission => ({
  admitted: false,
  because,
  until,
})
const down = (failure: "server-error" | "context-overflow" | "timeout", wasSent = true) => ({
  failure,
  error: new Error(failure),
  wasSent,
})

/** Everybody may be called, unless told otherwise; how leave ended is written down. */
function open(
  extra: Partial<DispatchOptions<DispatchCandidate, never>> = {},
  settings: Partial<DispatchSettings> = {},
) {
  const ended: string[] = []
  const attempts: Attempt[] = []
  const pass = { ended: (how: { readonly ended: string }) => void ended.push(how.ended) }
  const asking = newAsking<DispatchCandidate, never>({
    candidates: [],
    call: () => {
      throw new Error("nobody is called here")
    },
    admit: () => ({ admitted: true, pass }),
    onAttempt: (attempt) => attempts.push(attempt),
    settings: { ...SOME_SETTINGS, ...settings },
    ...extra,
  })
  return { asking, ended, attempts }
}

describe("leave for a call", () => {
  it("comes with money, and is given back by nobody but who was called", async () => {
    const { asking, ended } = open({ hold: async () => ({ granted: true, hold: SOME_HOLD }) })
    expect(await asking.enter(a)).toMatchObject({ hold: SOME_HOLD, pass: expect.anything() })
    expect(ended).toEqual([])
  })

  it("is given back when the ledger is away", async () => {
    const hold = async () => {
      throw new BudgetUnavailableError("main", "connection lost")
    }
    const { asking, ended } = open({ hold })
    await expect(asking.enter(a)).rejects.toThrow("connection lost")
    expect(ended).toEqual(["unsent"])
  })

  it("is given back when there is no money", async () => {
    const { asking, ended, attempts } = open({ hold: async () => refusedAt(9) })
    expect(await asking.enter(a)).toBeUndefined()
    expect(ended).toEqual(["unsent"])
    expect(attempts).toMatchObject([{ deploymentId: "a", outcome: "skipped", because: "unaffordable" }])
  })

  it("is given back when a second try is more than the retry budget has", async () => {
    const asked: string[] = []
    const take = () => asked.push("take") > 1
    const { asking, ended } = open({ backAt: () => 10 }, { retryBudget: { called: () => {}, take } })
    asking.failed(a, down("server-error"))
    expect(await asking.enter(a)).toBeUndefined()
    expect(ended).toEqual(["unsent"])
    // It is said of one failure once, and of others not at all.
    expect(await asking.enter(a)).toBeDefined()
    expect(await asking.enter(b)).toBeDefined()
    expect(asked).toEqual(["take"])
  })
})

describe("who was not called", () => {
  it("is told of once, with the first reason", async () => {
    let admission = notNow("cooling-down", 10)
    const { asking, attempts } = open({
      admit: () => admission,
      hold: async () => refusedAt(9),
    })
    await asking.enter(a)
    await asking.enter(a)
    admission = notNow("saturated")
    await asking.enter(a)
    expect(attempts).toMatchObject([{ deploymentId: "a", outcome: "skipped", because: "cooling-down" }])
    expect(asking.unavailable.get(a)).toMatchObject({ because: "saturated" })
  })

  it("is not told of again where a call of its own was refused", async () => {
    const { asking, attempts } = open({ admit: () => notNow("cooling-down", 10) })
    asking.failed(a, { refused: { refusal, quote: { money: nanoUsd(7), tokens: 1 } } })
    await asking.enter(a)
    expect(attempts).toEqual([])
    expect(asking.takeRefused()).toEqual([a])
    expect(asking.takeRefused()).toEqual([])
  })
})

describe("who has failed", () => {
  it("may be asked again when it is back, if a pause heals it", () => {
    const { asking } = open({ backAt: () => 4_000 })
    asking.failed(a, down("server-error"))
    asking.failed(b, down("timeout"))
    expect([...asking.unavailable]).toEqual([[a, { admitted: false, because: "cooling-down", until: 4_000 }]])
  })

  it("is the end of it when the deadline is over", () => {
    let isOver = false
    const { asking } = open({ deadline: { at: 1_000, fairMs: undefined, isOver: () => isOver } })
    const failed = down("server-error")
    asking.failed(a, failed)
    isOver = true
    expect(() => asking.failed(a, failed)).toThrow(failed.error)
  })

  it("as too small is followed by larger ones alone, whoever was the largest", async () => {
    const sizes: Readonly<Record<string, number>> = { a: 8_000, b: 32_000, same: 32_000, large: 64_000 }
    const { asking, attempts } = open({ contextOf: ({ deploymentId }) => sizes[deploymentId] ?? 0 })
    asking.failed(b, down("context-overflow"))
    asking.failed(a, down("context-overflow"))
    expect(await asking.enter(target("same"))).toBeUndefined()
    expect(await asking.enter(target("large"))).toBeDefined()
    expect(attempts).toMatchObject([{ deploymentId: "same", because: "context-too-small" }])
  })
})

describe("what the caller is told", () => {
  const enterAll = async (
    by: Readonly<Record<string, Admission | undefined>>,
    hold: () => Promise<HoldOutcome>,
  ) => {
    const pass = { ended: () => {} }
    const admit = ({ deploymentId }: DispatchCandidate) =>
      by[deploymentId] ?? ({ admitted: true, pass } as const)
    const { asking } = open({ admit, hold })
    for (const id of Object.keys(by)) await asking.enter(target(id))
    return asking.failure()
  }

  it("is the refusal where nobody could be paid, and nobody who could is coming back", async () => {
    const poor = async () => refusedAt(9)
    expect(await enterAll({ a: undefined }, poor)).toBeInstanceOf(BudgetExceededError)
    const tooLarge = { a: undefined, b: notNow("too-large") }
    expect(await enterAll(tooLarge, poor)).toBeInstanceOf(BudgetExceededError)
    const away = { a: undefined, b: notNow("cooling-down", 7_000), c: notNow("saturated", 5_000) }
    const error = await enterAll(away, poor)
    expect(error).toBeInstanceOf(CandidatesExhaustedError)
    expect((error as CandidatesExhaustedError).retryAt).toBe(5_000)
  })

  it("is what the first package said, where none would even ask", () => {
    const { asking } = open()
    const [first, second] = [down("server-error", false), down("server-error", false)]
    asking.failed(a, first)
    asking.failed(b, second)
    expect(asking.failure()).toBe(first.error)
  })

  it("is what happened to all, where one was asked", () => {
    const { asking } = open()
    asking.failed(a, down("server-error"))
    asking.failed(b, down("server-error", false))
    expect(asking.failure()).toBeInstanceOf(CandidatesExhaustedError)
    const { asking: other } = open()
    other.failed(a, down("server-error", false))
    other.failed(b, down("server-error"))
    expect(other.failure()).toBeInstanceOf(CandidatesExhaustedError)
  })
})
