import { describe, expect, it } from "vitest"
import type { Attempt } from "../spec/dispatch.ts"
import { BudgetExceededError, CandidatesExhaustedError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { failing, type Script, SOME_HOLD, world } from "../testing/scripted-dispatch.ts"
import type {
  Admission,
  Deadline,
  DispatchCandidate,
  DispatchOptions,
  HoldOutcome,
  PlaceToWait,
} from "./dispatch-options.ts"

const admitted: Admission = { admitted: true, pass: { ended: () => {} } }
const away = (until: number | undefined): Admission => ({ admitted: false, because: "cooling-down", until })
const full = (until: number | undefined): Admission => ({ admitted: false, because: "saturated", until })

/** A world whose clock goes on only where somebody waits; `admit` says at what time who may be called. */
function waiting(
  script: Script,
  admit: (id: string, at: number) => Admission,
  extra: Partial<DispatchOptions<DispatchCandidate, string>> = {},
) {
  const clock = { at: 0 }
  const pauses: number[] = []
  const pause = async (ms: number, signal: AbortSignal | undefined) => {
    signal?.throwIfAborted()
    if (pauses.length === 100) throw new Error("it waits for ever")
    pauses.push(ms)
    clock.at += ms
  }
  const settings = { now: () => clock.at, pause }
  const story = world(script, settings, {
    admit: ({ deploymentId }) => admit(deploymentId, clock.at),
    ...extra,
  })
  return { ...story, clock, pauses, waited: () => pauses.reduce((sum, ms) => sum + ms, 0) }
}

const calls = (log: readonly string[]) => log.filter((line) => line.startsWith("call"))

const until = (at: number): Deadline => ({ at, fairMs: undefined, isOver: () => false })

const backAt = (at: number) => (_: string, now: number) => (now >= at ? admitted : away(at))

/** A line in which everybody waits for as long as the clock says, or that answers as told. */
function place(answer: "turn" | "timeout" | "full") {
  const asked: (number | undefined)[] = []
  let left = 0
  const line: PlaceToWait = {
    wait: async (at) => {
      asked.push(at)
      return answer
    },
    leave: () => void left++,
  }
  return { line, asked, left: () => left }
}

describe("a request whose candidates are all away", () => {
  it("waits for the first of them, and looks every quarter of a second whether it is back before", async () => {
    const { run, pauses } = waiting({ a: [["ok"]] }, backAt(600))
    expect(await run()).toEqual(["ok"])
    expect(pauses).toEqual([250, 250, 100])
    const early = waiting({ a: [["ok"]] }, (_, at) => (at >= 250 ? admitted : away(4_000)))
    expect(await early.run()).toEqual(["ok"])
    expect(early.pauses).toEqual([250])
  })

  it("waits less than five seconds in all without a deadline", async () => {
    expect(await waiting({ a: [["ok"]] }, backAt(4_999)).run()).toEqual(["ok"])
    const late = waiting({ a: [["never"]] }, backAt(5_000))
    await expect(late.run()).rejects.toMatchObject({ code: "candidates-exhausted", retryAt: 5_000 })
    expect(late.pauses).toEqual([])
    // Whoever is put off again and again is not waited for again and again.
    const always = waiting({ a: [["never"]] }, (_, at) => away(at + 1_000))
    await expect(always.run()).rejects.toBeInstanceOf(CandidatesExhaustedError)
    expect(always.waited()).toBe(4_000)
  })

  it("waits as long as its deadline allows, and not a moment for who comes too late", async () => {
    const patient = waiting({ a: [["ok"]] }, backAt(12_000), { deadline: until(12_001) })
    expect(await patient.run()).toEqual(["ok"])
    expect(patient.waited()).toBe(12_000)
    const late = waiting({ a: [["never"]] }, backAt(12_000), { deadline: until(12_000) })
    await expect(late.run()).rejects.toMatchObject({ retryAt: 12_000 })
    expect(late.pauses).toEqual([])
  })

  it("waits a moment even for who is said to be back by now", async () => {
    const { run, pauses } = waiting({ a: [["ok"]] }, (_, at) => (at > 0 ? admitted : away(0)))
    expect(await run()).toEqual(["ok"])
    expect(pauses).toEqual([1])
  })

  it("does not wait where nobody knows until when, nor for room, nor for what cannot be", async () => {
    const tooLarge: Admission = { admitted: false, because: "too-large", until: 100 }
    for (const admission of [away(undefined), full(100), tooLarge]) {
      const { run, pauses } = waiting({ a: [["never"]] }, () => admission)
      await expect(run()).rejects.toBeInstanceOf(CandidatesExhaustedError)
      expect(pauses).toEqual([])
    }
  })

  it("asks only those who were away when it has waited", async () => {
    const script = { a: [failing(401), ["never"]], b: [["ok"]] }
    const admit = (id: string, at: number) => (id === "a" || at >= 100 ? admitted : away(100))
    const { run, log } = waiting(script, admit)
    expect(await run()).toEqual(["ok"])
    expect(calls(log)).toEqual(["call a", "call b"])
  })

  it("is over when those who came back have failed", async () => {
    const { run, log, pauses } = waiting({ a: [failing(401)] }, backAt(100))
    await expect(run()).rejects.toBeInstanceOf(CandidatesExhaustedError)
    expect(calls(log)).toEqual(["call a"])
    expect(pauses).toEqual([100])
  })

  it("waits for nobody when as many as may be asked have failed", async () => {
    const script = { a: [failing(401)], b: [failing(401)], c: [failing(401)], d: [["never"]] }
    const { run, pauses } = waiting(script, (id) => (id === "d" ? away(100) : admitted))
    // Two stand in for the first; the fourth is away, and is asked before them.
    const sorted = waiting({ d: script.d, a: script.a, b: script.b, c: script.c }, (id, at) =>
      id === "d" && at < 100 ? away(100) : admitted,
    )
    await expect(run()).rejects.toBeInstanceOf(CandidatesExhaustedError)
    await expect(sorted.run()).rejects.toBeInstanceOf(CandidatesExhaustedError)
    expect([pauses, sorted.pauses]).toEqual([[], []])
  })

  it("waits for who failed in this very call, and asks it again as a retry", async () => {
    const taken: string[] = []
    const retryBudget = { called: () => void taken.push("called"), take: () => taken.push("take") > 0 }
    const script = { a: [failing(429, { retryAfterMs: 9_000 }), ["ok"]] }
    const clock = { at: 0 }
    const story = world(
      script,
      {
        now: () => clock.at,
        pause: async (ms) => {
          clock.at += ms
        },
        retryBudget,
      },
      {
        deadline: until(20_000),
        backAt: () => 9_000,
        admit: () => (clock.at === 0 ? admitted : backAt(9_000)("a", clock.at)),
      },
    )
    expect(await story.run()).toEqual(["ok"])
    expect(taken).toEqual(["called", "take", "called"])
  })

  it("ends at once when its caller leaves", async () => {
    const leaving = new AbortController()
    leaving.abort(new Error("the caller left"))
    const { run, pauses } = waiting({ a: [["never"]] }, backAt(100), { signal: leaving.signal })
    await expect(run()).rejects.toThrow("the caller left")
    expect(pauses).toEqual([])
  })

  it("asks those who were refused only once what to do", async () => {
    const refusal = { scope: "tenant:a", window: "day", unit: "NanoUsd", limit: 5, remaining: 1 } as const
    const poor: HoldOutcome = {
      granted: false,
      refusal: { ...refusal, resetsAt: 0 },
      quote: { money: nanoUsd(9), tokens: 1 },
    }
    let asked = 0
    const { run, log } = waiting(
      { a: [["never"]], b: [failing(401)] },
      (id, at) => (id === "a" || at >= 100 ? admitted : away(100)),
      {
        hold: async ({ deploymentId }) => (deploymentId === "a" ? poor : { granted: true, hold: SOME_HOLD }),
        whenRefused: async () => {
          asked++
          return "block"
        },
      },
    )
    await expect(run()).rejects.toBeInstanceOf(CandidatesExhaustedError)
    expect(asked).toBe(1)
    expect(calls(log)).toEqual(["call b"])
  })

  it("pauses before it asks those again who were refused", async () => {
    const refusal = { scope: "tenant:a", window: "day", unit: "NanoUsd", limit: 5, remaining: 1 } as const
    let asked = 0
    const { run, pauses } = waiting({ a: [["never"]] }, () => admitted, {
      hold: async () => ({
        granted: false,
        refusal: { ...refusal, resetsAt: 0 },
        quote: { money: nanoUsd(9), tokens: 1 },
      }),
      whenRefused: async () => (asked++ < 2 ? "ask-again" : "block"),
    })
    await expect(run()).rejects.toBeInstanceOf(BudgetExceededError)
    expect(pauses).toEqual([100, 100])
  })
})

describe("a request with a place in a line", () => {
  it("waits there for room, and leaves whatever becomes of it", async () => {
    let tries = 0
    const answered = place("turn")
    const well = waiting({ a: [["ok"]] }, () => (tries++ === 0 ? full(9_000) : admitted), {
      line: answered.line,
    })
    expect(await well.run()).toEqual(["ok"])
    expect(well.pauses).toEqual([])
    expect([answered.asked, answered.left()]).toEqual([[9_000], 1])

    for (const how of ["timeout", "full"] as const) {
      const { line, left } = place(how)
      const { run, log } = waiting({ a: [["never"]] }, () => full(undefined), { line })
      await expect(run()).rejects.toBeInstanceOf(CandidatesExhaustedError)
      expect([calls(log), left()]).toEqual([[], 1])
    }
  })

  it("waits there until the first of all is back, and elsewhere for those who are only away", async () => {
    let tries = 0
    const { line, asked } = place("turn")
    const two = waiting(
      { a: [["ok"]], b: [["never"]] },
      (id) => (tries++ >= 2 ? admitted : id === "a" ? full(9_000) : away(4_000)),
      { line },
    )
    expect(await two.run()).toEqual(["ok"])
    expect(asked).toEqual([4_000])
    const notFull = place("full")
    const { run, pauses } = waiting({ a: [["ok"]] }, backAt(100), { line: notFull.line })
    expect(await run()).toEqual(["ok"])
    expect([notFull.asked, pauses]).toEqual([[], [100]])
  })
})

describe("a retry", () => {
  const retried = (
    script: Script,
    extra: Partial<DispatchOptions<DispatchCandidate, string>> = {},
    settings: Parameters<typeof world>[1] = {},
  ) => world(script, settings, extra)

  it("is made once for all calls where the budget has no more", async () => {
    let left = 1
    let called = 0
    const retryBudget = { called: () => void called++, take: () => left-- > 0 }
    const script = { a: [failing(500), failing(500), ["late"]], b: [failing(500), ["late"]] }
    const { run, log } = retried(script, {}, { retryBudget })
    await expect(run()).rejects.toBeInstanceOf(CandidatesExhaustedError)
    expect(calls(log)).toEqual(["call a", "call a", "call b"])
    expect(called).toBe(2)
  })

  it("goes elsewhere at once when asked to wait", async () => {
    const script = { a: [failing(503, { retryAfterMs: 1_000 }), ["late"]], b: [["ok"]] }
    const { run, log } = retried(script)
    expect(await run()).toEqual(["ok"])
    expect(log.filter((line) => line.startsWith("pause"))).toEqual([])
    const last = retried({ a: [failing(503, { retryAfterMs: 1_000 }), ["ok"]] })
    expect(await last.run()).toEqual(["ok"])
    expect(last.log).toContain("pause 1000")
  })

  it("is not made when it would come at the deadline or after it", async () => {
    const script = { a: [failing(500), ["ok"]] }
    await expect(retried(script, { deadline: until(100) }).run()).rejects.toBeInstanceOf(
      CandidatesExhaustedError,
    )
    expect(await retried(script, { deadline: until(101) }).run()).toEqual(["ok"])
  })

  it("needs leave of its own, and is none where that is not given", async () => {
    const ended: string[] = []
    const asked: boolean[] = []
    const leave = (name: string): Admission => ({
      admitted: true,
      pass: { ended: (how) => void ended.push(`${name} ${how.ended}`) },
    })
    const admit = (_: DispatchCandidate, isRetry: boolean) => {
      asked.push(isRetry)
      return leave(isRetry ? "second" : "first")
    }
    expect(await retried({ a: [failing(500), ["ok"]] }, { admit }).run()).toEqual(["ok"])
    expect([asked, ended]).toEqual([
      [false, true],
      ["first failed", "second answered"],
    ])
    const { run, log, attempts } = retried(
      { a: [failing(500), ["never"]], b: [["ok"]] },
      { admit: (_, isRetry) => (isRetry ? away(9_000) : admitted) },
    )
    expect(await run()).toEqual(["ok"])
    expect(calls(log)).toEqual(["call a", "call b"])
    expect(attempts.map(({ outcome }: Attempt) => outcome)).toEqual(["failed", "answered"])
  })
})
