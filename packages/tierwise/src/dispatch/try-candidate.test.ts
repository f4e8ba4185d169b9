import { getEventListeners } from "node:events"
import { describe, expect, it } from "vitest"
import { BudgetExceededError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { failing, type Script, world } from "../testing/scripted-dispatch.ts"
import { dispatch } from "./dispatch.ts"
import type {
  Admission,
  Deadline,
  DispatchCandidate,
  DispatchOptions,
  TryEnding,
} from "./dispatch-options.ts"

type Extra = Partial<DispatchOptions<DispatchCandidate, string>>

/** A world in which everybody may be called, and how each try ended is written down. */
function watched(script: Script, extra: Extra = {}, settings: Parameters<typeof world>[1] = {}) {
  const endings: TryEnding[] = []
  const pass = { ended: (how: TryEnding) => void endings.push(how) }
  const story = world(script, settings, { admit: () => ({ admitted: true, pass }), ...extra })
  return { ...story, endings }
}

const poor = () => {
  const refusal = { scope: "global:all", window: "day", unit: "NanoUsd", limit: 100, remaining: 100 } as const
  return new BudgetExceededError({ ...refusal, resetsAt: undefined }, { money: nanoUsd(9), tokens: 1 })
}

describe("whoever gave leave", () => {
  it("is told once how each try ended", async () => {
    const script = { a: [failing(500), failing(401)], b: [["ok"]] }
    const { run, endings } = watched(script)
    expect(await run()).toEqual(["ok"])
    expect(endings).toMatchObject([
      { ended: "failed", failure: "server-error", isItsOwn: true },
      { ended: "failed", failure: "authentication", isItsOwn: true },
      { ended: "answered", usage: { outputTokens: 1 }, firstPieceMs: 0 },
    ])
  })

  it("is told that nothing was sent where a budget or a package would not let it", async () => {
    const { run, endings } = watched({ a: [poor()], b: [["ok"]] })
    expect(await run()).toEqual(["ok"])
    expect(endings).toMatchObject([{ ended: "unsent" }, { ended: "answered" }])
    const refuses = failing(401)
    const call = () => {
      throw refuses
    }
    const none = watched({ a: [], b: [] }, { call })
    // Nobody was asked: it is the call that cannot be.
    await expect(none.run()).rejects.toBe(refuses)
    expect(none.endings).toEqual([{ ended: "unsent" }, { ended: "unsent" }])
  })

  it("is told of a reader who walks away", async () => {
    const { options, endings } = watched({ a: [["one", "two"]] })
    for await (const _ of dispatch(options)) break
    expect(endings).toMatchObject([{ ended: "failed", failure: "aborted" }])
  })

  it("gets back leave for a retry whose caller has gone", async () => {
    const leaving = new AbortController()
    const ended: string[] = []
    const { promise: asked, resolve: answer } = Promise.withResolvers<Admission>()
    const admit = (_: DispatchCandidate, isRetry: boolean): Admission | Promise<Admission> => {
      if (!isRetry) return { admitted: true, pass: { ended: () => {} } }
      leaving.abort(new Error("the caller left"))
      return asked
    }
    const { run, log } = watched({ a: [failing(500), ["never"]] }, { admit, signal: leaving.signal })
    await expect(run()).rejects.toThrow("the caller left")
    answer({ admitted: true, pass: { ended: (how) => void ended.push(how.ended) } })
    await asked
    await Promise.resolve()
    expect(ended).toEqual(["unsent"])
    expect(log).toEqual(["hold a", "call a", "pause 100", "release a"])
  })
})

describe("a request's deadline", () => {
  /** A model that is cut off by it after so long, before or after its first piece. */
  const cutOffAfter = async (ms: number, pieces: readonly string[], fairMs: number | undefined) => {
    const clock = { at: 0 }
    let isOver = false
    const deadline: Deadline = { at: 100, fairMs, isOver: () => isOver }
    const call = async function* () {
      yield* pieces
      clock.at += ms
      isOver = true
      throw new Error("aborted")
    }
    const { run, endings } = watched({ a: [] }, { deadline, call }, { now: () => clock.at })
    await run().catch(() => {})
    return endings
  }

  it("blames who has had nine tenths of a usual one, and has not begun", async () => {
    const timeout = { ended: "failed", failure: "timeout" }
    expect(await cutOffAfter(90, [], 100)).toMatchObject([{ ...timeout, isItsOwn: true }])
    expect(await cutOffAfter(89, [], 100)).toMatchObject([{ ...timeout, isItsOwn: false }])
    expect(await cutOffAfter(100, [], undefined)).toMatchObject([{ ...timeout, isItsOwn: false }])
    expect(await cutOffAfter(100, ["one"], 100)).toMatchObject([{ ...timeout, isItsOwn: false }])
  })
})

describe("an answer", () => {
  const finishes = (_: DispatchCandidate, piece: string) => piece.endsWith(".")

  it("that does not say why it ends was cut off", async () => {
    const { run, endings } = watched({ a: [["It is", " fine."]] }, { finishes })
    expect(await run()).toEqual(["It is", " fine."])
    expect(endings).toMatchObject([{ ended: "answered" }])
    const cut = watched({ a: [["It is", " fi"]], b: [["never."]] }, { finishes })
    await expect(cut.run()).rejects.toThrow("without a finish reason")
    expect(cut.endings).toMatchObject([{ ended: "failed", failure: "truncated" }])
  })

  it("is no refusal any more once it has begun", async () => {
    const late = poor()
    const { run, endings, log } = watched({ a: [["one", late]] })
    await expect(run()).rejects.toBe(late)
    expect(endings).toMatchObject([{ ended: "failed" }])
    expect(log).toEqual(["hold a", "call a", "settle a 1"])
  })
})

describe("the caller's signal", () => {
  it.each([
    ["an answer", { a: [["ok"]] }],
    ["failures and a retry", { a: [failing(500), failing(401)], b: [failing(401)] }],
    ["a stream that breaks", { a: [["one", failing(500)]] }],
  ] as [string, Script][])("has nothing of a try on it after %s", async (_, script) => {
    const { signal } = new AbortController()
    const hedge = { afterMs: () => 10_000, budget: { called: () => {}, take: () => false } }
    for (const extra of [{ signal }, { signal, hedge }]) {
      const { run, log } = watched(script, extra, { attemptTimeoutMs: 60_000, stallTimeoutMs: 60_000 })
      await run().catch(() => {})
      expect(log).toContain("call a")
      expect(getEventListeners(signal, "abort")).toEqual([])
    }
  })
})
