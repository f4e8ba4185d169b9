import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { type Contender, firstToOpen } from "./hedge.ts"
import { retryBudget } from "./retry-budget.ts"
import { ANSWERED, type Ended } from "./try-candidate.ts"

const FAILED: Ended = { failure: "network", error: new Error("no"), wasSent: true }

/** Says its words after so long, or fails; ends at once when it is cancelled. */
function contender(candidate: string, afterMs: number, says: readonly string[] | "fails", log: string[]) {
  const leaving = new AbortController()
  async function* run(): AsyncGenerator<string, Ended, undefined> {
    log.push(`${candidate} begins`)
    try {
      await new Promise<void>((resolve) => {
        if (leaving.signal.aborted) return resolve()
        setTimeout(resolve, afterMs)
        leaving.signal.addEventListener("abort", () => resolve())
      })
      if (leaving.signal.aborted) {
        log.push(`${candidate} is cancelled`)
        return { failure: "aborted", error: leaving.signal.reason, wasSent: true }
      }
      if (says === "fails") return FAILED
      yield* says
      return ANSWERED
    } finally {
      log.push(`${candidate} is settled`)
    }
  }
  const made: Contender<string, string> = {
    candidate,
    run: run(),
    cancel: () => leaving.abort(new Error("late")),
  }
  return made
}

const hedging = (afterMs: number | undefined, budget = retryBudget()) => ({ afterMs: () => afterMs, budget })

async function read(run: AsyncGenerator<string, unknown>) {
  const pieces: string[] = []
  let step = await run.next()
  for (; step.done !== true; step = await run.next()) pieces.push(step.value)
  return { pieces, ended: step.value }
}

describe("firstToOpen", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const race = async (
    first: [number, readonly string[] | "fails"],
    second: [number, readonly string[] | "fails"],
    options = hedging(50),
  ) => {
    const log: string[] = []
    const run = firstToOpen(contender("a", ...first, log), options, async () =>
      contender("b", ...second, log),
    )
    const reading = read(run)
    await vi.runAllTimersAsync()
    return { ...(await reading), log }
  }

  it("asks nobody else while the first is as fast as mostly", async () => {
    const { pieces, log } = await race([40, ["one", "two"]], [1, ["never"]])
    expect(pieces).toEqual(["one", "two"])
    expect(log).toEqual(["a begins", "a is settled"])
  })

  it("gives the words of whoever opens first, and cancels and settles the other", async () => {
    const { pieces, ended, log } = await race([500, ["slow"]], [20, ["quick", "er"]])
    expect([pieces, ended]).toEqual([["quick", "er"], ANSWERED])
    expect(log).toEqual(["a begins", "b begins", "a is cancelled", "a is settled", "b is settled"])
  })

  it("goes on with the other when one fails, and tells of both when both do", async () => {
    expect((await race([500, ["slow"]], [20, "fails"])).pieces).toEqual(["slow"])
    const { ended } = await race([500, "fails"], [20, "fails"])
    expect(ended).toEqual([
      { candidate: "b", how: FAILED },
      { candidate: "a", how: FAILED },
    ])
  })

  it("adds no more load than its budget lets it", async () => {
    const budget = retryBudget({ share: 0, reserve: 0, perSecond: 0 })
    const { log } = await race([500, ["slow"]], [20, ["quick"]], hedging(50, budget))
    expect(log).not.toContain("b begins")
  })

  /** A second that needs so long for leave and money. */
  const joinsLate = async (
    first: [number, readonly string[] | "fails"],
    joinMs: number,
    joins: (log: string[]) => Contender<string, string>,
  ) => {
    const log: string[] = []
    const run = firstToOpen(contender("a", ...first, log), hedging(50), async () => {
      await new Promise((resolve) => setTimeout(resolve, joinMs))
      return joins(log)
    })
    const reading = read(run)
    const outcome = Promise.allSettled([reading]).then(([settled]) => settled)
    await vi.advanceTimersByTimeAsync(first[0])
    const soFar = [...log]
    await vi.runAllTimersAsync()
    return { outcome: await outcome, soFar, log }
  }

  it("keeps nobody waiting for a second that is slow to join, and cancels and settles it when it does", async () => {
    const late = (log: string[]) => contender("b", 20, ["never"], log)
    const { outcome, soFar, log } = await joinsLate([100, ["one", "two"]], 900, late)
    expect(outcome).toMatchObject({ value: { pieces: ["one", "two"], ended: ANSWERED } })
    expect(soFar).toEqual(["a begins", "a is settled"])
    expect(log.slice(2)).toEqual(["b begins", "b is cancelled", "b is settled"])
    expect(vi.getTimerCount()).toBe(0)
  })

  it("lets no failure to join end an answer, and tells it where nobody answered", async () => {
    const fails = () => {
      throw new Error("the ledger is away")
    }
    const { outcome } = await joinsLate([500, ["slow"]], 10, fails)
    expect(outcome).toMatchObject({ value: { pieces: ["slow"], ended: ANSWERED } })
    const { outcome: none } = await joinsLate([500, "fails"], 10, fails)
    expect(none).toMatchObject({ status: "rejected", reason: { message: "the ledger is away" } })
  })

  it("settles both when the reader leaves", async () => {
    const log: string[] = []
    const run = firstToOpen(contender("a", 500, ["slow"], log), hedging(50), async () =>
      contender("b", 20, ["quick", "er"], log),
    )
    const first = run.next()
    await vi.runAllTimersAsync()
    expect((await first).value).toBe("quick")
    await run.return([])
    expect(log.filter((line) => line.endsWith("settled")).sort()).toEqual(["a is settled", "b is settled"])
    expect(vi.getTimerCount()).toBe(0)
  })
})
