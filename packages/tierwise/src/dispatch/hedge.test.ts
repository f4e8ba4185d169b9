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

  it("asks nobody beside one of whom it is not known how long it mostly takes", async () => {
    const { pieces, log } = await race([500, ["slow"]], [20, ["never"]], hedging(undefined))
    expect(pieces).toEqual(["slow"])
    expect(log).toEqual(["a begins", "a is settled"])
  })

  it("earns a hedge with each call", async () => {
    const budget = retryBudget({ share: 1, reserve: 0, perSecond: 0 })
    expect((await race([500, ["slow"]], [20, ["quick"]], hedging(50, budget))).pieces).toEqual(["quick"])
  })

  it("leaves no timer when the first was in time", async () => {
    const log: string[] = []
    const reading = read(firstToOpen(contender("a", 10, ["one"], log), hedging(5_000), async () => undefined))
    await vi.advanceTimersByTimeAsync(10)
    await reading
    expect(vi.getTimerCount()).toBe(0)
  })

  /** A run that says when it is really called: not where it has been cancelled before. */
  function late(log: string[], act: () => AsyncGenerator<string, Ended> = () => says("late")) {
    const leaving = new AbortController()
    async function* run(): AsyncGenerator<string, Ended, undefined> {
      log.push(leaving.signal.aborted ? "b is not called" : "b is called")
      leaving.signal.throwIfAborted()
      return yield* act()
    }
    const cancel = () => leaving.abort(new Error("late"))
    return { candidate: "b", run: run(), cancel } satisfies Contender<string, string>
  }

  async function* says(...pieces: string[]): AsyncGenerator<string, Ended> {
    yield* pieces
    return ANSWERED
  }

  const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

  it.each([
    [
      "has answered",
      async function* () {
        await after(100)
        yield* says("one")
        return ANSWERED
      },
    ],
    [
      "has answered without a word",
      async function* () {
        await after(100)
        yield* says()
        return ANSWERED
      },
    ],
    [
      "is in the middle of its answer",
      async function* () {
        await after(100)
        yield "one"
        await after(2_000)
        return ANSWERED
      },
    ],
  ] as [string, () => AsyncGenerator<string, Ended>][])(
    "does not call a second that joins when the first %s, and waits for it",
    async (_, act) => {
      const log: string[] = []
      const first = { candidate: "a", run: act(), cancel: () => {} }
      const reading = read(
        firstToOpen(first, hedging(50), async () => {
          await after(900)
          return late(log)
        }),
      ).finally(() => log.push("done"))
      await vi.runAllTimersAsync()
      expect((await reading).ended).toBe(ANSWERED)
      expect(log).toEqual(["b is not called", "done"])
    },
  )

  it("waits until the one that lost is settled", async () => {
    const log: string[] = []
    const slow = contender("a", 500, ["slow"], log)
    async function* settlesSlowly(): AsyncGenerator<string, Ended, undefined> {
      try {
        return yield* slow.run
      } finally {
        await after(300)
        log.push("a's money is back")
      }
    }
    const first = { ...slow, run: settlesSlowly() }
    const run = firstToOpen(first, hedging(50), async () => contender("b", 20, ["quick"], log))
    const reading = read(run).finally(() => log.push("done"))
    await vi.runAllTimersAsync()
    expect((await reading).pieces).toEqual(["quick"])
    expect(log.slice(-2)).toEqual(["a's money is back", "done"])
  })

  it("closes the one that lost though it opened too, whatever it makes of being cancelled", async () => {
    const log: string[] = []
    async function* deaf(): AsyncGenerator<string, Ended, undefined> {
      try {
        await after(60)
        yield* ["too", "late"]
        return ANSWERED
      } finally {
        log.push("b is settled")
      }
    }
    const second = { candidate: "b", run: deaf(), cancel: () => {} }
    const run = firstToOpen(contender("a", 100, ["one"], log), hedging(50), async () => second)
    const reading = read(run)
    await vi.runAllTimersAsync()
    expect((await reading).pieces).toEqual(["one"])
    expect(log).toContain("b is settled")
  })

  it("cancels the other when one throws", async () => {
    const log: string[] = []
    async function* throws(): AsyncGenerator<string, Ended, undefined> {
      await after(100)
      yield* says()
      throw new Error("a defect")
    }
    const first = { candidate: "a", run: throws(), cancel: () => {} }
    const run = firstToOpen(first, hedging(50), async () => contender("b", 90_000, ["never"], log))
    const outcome = read(run).catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(100)
    expect(await outcome).toMatchObject({ message: "a defect" })
    expect(log).toEqual(["b begins", "b is cancelled", "b is settled"])
  })

  it("tells of both where the second began to answer and failed", async () => {
    const log: string[] = []
    const run = firstToOpen(contender("a", 60, "fails", log), hedging(50), async () => ({
      candidate: "b",
      run: (async function* () {
        await after(30)
        yield "one"
        return FAILED
      })(),
      cancel: () => {},
    }))
    const reading = read(run)
    await vi.runAllTimersAsync()
    expect((await reading).ended).toEqual([
      { candidate: "a", how: FAILED },
      { candidate: "b", how: FAILED },
    ])
  })
})
