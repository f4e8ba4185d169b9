import { describe, expect, it } from "vitest"
import type { Attempt } from "../spec/dispatch.ts"
import { BudgetExceededError, CandidatesExhaustedError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { NO_USAGE } from "../spec/usage.ts"
import { dispatch } from "./dispatch.ts"
import type { DispatchOptions, DispatchSettings, HoldOutcome, Target } from "./dispatch-options.ts"
import { type Pause, pause } from "./pause.ts"

const target = (deploymentId: string): Target => ({ deploymentId, tier: "light" })
const failing = (status: number, fields: object = {}) =>
  Object.assign(new Error(`status ${status}`), { status, ...fields })

/** What each candidate does at each try: an error to throw, or the pieces to yield (an error among them breaks it). */
type Script = Readonly<Record<string, readonly (Error | readonly (string | Error)[])[]>>

/** A world of scripted candidates that writes down holds, tries and pauses. */
function world(
  script: Script,
  settings: Partial<DispatchSettings> = {},
  extra: Partial<DispatchOptions<Target, string>> = {},
) {
  const log: string[] = []
  const attempts: Attempt[] = []
  const tries = new Map<string, number>()
  const options: DispatchOptions<Target, string> = {
    candidates: Object.keys(script).map(target),
    async *call({ deploymentId }) {
      const nth = tries.get(deploymentId) ?? 0
      tries.set(deploymentId, nth + 1)
      log.push(`call ${deploymentId}`)
      const act = script[deploymentId]?.[nth]
      if (act === undefined || act instanceof Error) throw act ?? new Error("called too often")
      for (const piece of act) {
        if (piece instanceof Error) throw piece
        yield piece
      }
    },
    hold: async ({ deploymentId }): Promise<HoldOutcome> => {
      log.push(`hold ${deploymentId}`)
      return {
        granted: true,
        hold: {
          settle: async ({ cost }) => void log.push(`settle ${deploymentId} ${cost}`),
          release: async () => void log.push(`release ${deploymentId}`),
        },
      }
    },
    meter: () => {
      let seen = 0
      return {
        see: () => void seen++,
        read: (ended, mayBeBilled) =>
          ended === "failed" && !mayBeBilled
            ? { usage: undefined, cost: nanoUsd(0) }
            : { usage: { ...NO_USAGE, outputTokens: seen }, cost: nanoUsd(seen) },
      }
    },
    settings: {
      maxFallbackAttempts: 2,
      maxRetries: 2,
      retryBaseMs: 100,
      attemptTimeoutMs: undefined,
      now: () => 0,
      random: () => 1,
      pause: async (ms) => void log.push(`pause ${ms}`),
      ...settings,
    },
    onAttempt: (attempt) => attempts.push(attempt),
    ...extra,
  }
  const run = async () => {
    const pieces: string[] = []
    for await (const piece of dispatch(options)) pieces.push(piece)
    return pieces
  }
  return { options, log, attempts, run }
}

describe("dispatch", () => {
  it("yields the first candidate's pieces, holding its money before and settling it after", async () => {
    const { run, log, attempts } = world({ a: [["one", "two"]], b: [["never"]] })
    expect(await run()).toEqual(["one", "two"])
    expect(log).toEqual(["hold a", "call a", "settle a 2"])
    expect(attempts).toMatchObject([{ deploymentId: "a", outcome: "answered", cost: 2 }])
  })

  it("falls back to the next candidate, which gets a hold of its own [E6.chain] [C8.fallback-models]", async () => {
    const { run, log, attempts } = world({ a: [failing(401)], b: [["ok"]] })
    expect(await run()).toEqual(["ok"])
    expect(log).toEqual(["hold a", "call a", "release a", "hold b", "call b", "settle b 1"])
    expect(attempts).toMatchObject([
      { outcome: "failed", failure: "authentication" },
      { outcome: "answered" },
    ])
  })

  it("retries what a pause may heal, doubling it, under the same hold [C3.exponential-backoff]", async () => {
    const { run, log } = world({ a: [failing(503), failing(500), ["ok"]] })
    expect(await run()).toEqual(["ok"])
    expect(log).toEqual(["hold a", "call a", "pause 100", "call a", "pause 200", "call a", "settle a 1"])
  })

  it("retries up to three times if told so [C3.retry-3]", async () => {
    const { run, log } = world({ a: [failing(500), failing(500), failing(500), ["ok"]] }, { maxRetries: 3 })
    expect(await run()).toEqual(["ok"])
    expect(log.filter((line) => line === "call a")).toHaveLength(4)
  })

  it("fails over at once on a rate limit while somebody else is left", async () => {
    const { run, log } = world({ a: [failing(429)], b: [["ok"]] })
    expect(await run()).toEqual(["ok"])
    expect(log.some((line) => line.startsWith("pause"))).toBe(false)
  })

  it("waits as long as the last one left asks, if that is short", async () => {
    const short = world({ a: [failing(429, { retryAfterMs: 1_000 }), ["ok"]] })
    expect(await short.run()).toEqual(["ok"])
    expect(short.log).toContain("pause 1000")
    const long = world({ a: [failing(429, { retryAfterMs: 60_000 }), ["ok"]] })
    await expect(long.run()).rejects.toThrow(CandidatesExhaustedError)
  })

  it("asks at most maxFallbackAttempts others [A1.max-fallback-attempts]", async () => {
    const { run, log } = world({ a: [failing(401)], b: [failing(401)], c: [failing(401)], d: [["ok"]] })
    await expect(run()).rejects.toThrow(CandidatesExhaustedError)
    expect(log.filter((line) => line.startsWith("call"))).toEqual(["call a", "call b", "call c"])
  })

  it("tells every attempt when all failed, with the last error as cause", async () => {
    const last = failing(404)
    const { run } = world({ a: [failing(401)], b: [last] })
    const error = await run().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CandidatesExhaustedError)
    expect((error as CandidatesExhaustedError).attempts).toHaveLength(2)
    expect((error as CandidatesExhaustedError).cause).toBe(last)
  })

  it.each([
    ["the caller's own mistake", failing(400)],
    ["a defect", new TypeError("x is not a function")],
    ["a graph's interrupt", Object.assign(new Error("interrupt"), { name: "GraphInterrupt" })],
  ])("throws %s untouched and asks nobody else", async (_, error) => {
    const { run, log } = world({ a: [error], b: [["ok"]] })
    await expect(run()).rejects.toBe(error)
    expect(log).toEqual(["hold a", "call a", "release a"])
  })

  it("never continues with another candidate once the reader has seen a piece, and bills what was seen", async () => {
    const broken = failing(500)
    const { run, log, attempts } = world({ a: [["one", broken]], b: [["other"]] })
    await expect(run()).rejects.toBe(broken)
    expect(log).toEqual(["hold a", "call a", "settle a 1"])
    expect(attempts).toMatchObject([{ outcome: "failed", failure: "server-error", cost: 1 }])
  })

  it("settles what was made for a reader who walks away, and closes the model's stream", async () => {
    let closed = false
    const call = async function* () {
      try {
        yield "one"
        yield "two"
      } finally {
        closed = true
      }
    }
    const { options, log, attempts } = world({ a: [] }, {}, { call })
    for await (const _ of dispatch(options)) break
    expect(log).toEqual(["hold a", "settle a 1"])
    expect(attempts).toMatchObject([{ outcome: "failed", failure: "aborted", cost: 1 }])
    expect(closed).toBe(true)
  })

  it("goes on to a cheaper candidate when the budget refuses one", async () => {
    const refusal = {
      scope: "tenant:a",
      window: "day",
      unit: "NanoUsd",
      limit: 5,
      remaining: 1,
      resetsAt: 0,
    } as const
    const refused: HoldOutcome = { granted: false, refusal, quote: { money: nanoUsd(9), tokens: 1 } }
    const granted: HoldOutcome = { granted: true, hold: { settle: async () => {}, release: async () => {} } }
    const hold = async ({ deploymentId }: Target) => (deploymentId === "a" ? refused : granted)
    const { run, attempts } = world({ a: [["dear"]], b: [["cheap"]] }, {}, { hold })
    expect(await run()).toEqual(["cheap"])
    expect(attempts[0]).toMatchObject({ outcome: "skipped", because: "unaffordable" })
  })

  it("throws the cheapest refusal, and calls nobody, when the budget refuses all", async () => {
    const refusal = {
      scope: "tenant:a",
      window: "day",
      unit: "NanoUsd",
      limit: 5,
      remaining: 1,
      resetsAt: 0,
    } as const
    const hold = async ({ deploymentId }: Target): Promise<HoldOutcome> => ({
      granted: false,
      refusal,
      quote: { money: nanoUsd(deploymentId === "a" ? 9 : 7), tokens: 1 },
    })
    const { run, log } = world({ a: [["x"]], b: [["x"]] }, {}, { hold })
    const error = await run().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(BudgetExceededError)
    expect((error as BudgetExceededError).quote.money).toBe(7)
    expect(log).toEqual([])
  })

  it("falls back when a model gives no first piece in time, and settles the silent call as maybe billed", async () => {
    const call = async function* ({ deploymentId }: Target) {
      if (deploymentId === "a") await new Promise(() => {})
      yield "ok"
    }
    const { run, attempts } = world({ a: [], b: [] }, { attemptTimeoutMs: 20, now: Date.now }, { call })
    expect(await run()).toEqual(["ok"])
    expect(attempts[0]).toMatchObject({ outcome: "failed", failure: "timeout" })
  })

  it("lets a stream that has begun take its time", async () => {
    const call = async function* () {
      yield "one"
      await pause(60, undefined)
      yield "two"
    }
    const { run } = world({ a: [] }, { attemptTimeoutMs: 20 }, { call })
    expect(await run()).toEqual(["one", "two"])
  })

  it("rethrows the caller's abort untouched, at once, from a model that ignores its signal", async () => {
    const abort = new AbortController()
    const reason = new Error("enough")
    const call = async function* () {
      await new Promise(() => {})
      yield "never"
    }
    const { run, attempts } = world({ a: [], b: [] }, {}, { call, signal: abort.signal })
    const running = run()
    abort.abort(reason)
    await expect(running).rejects.toBe(reason)
    expect(attempts).toMatchObject([{ deploymentId: "a", failure: "aborted" }])
  })

  it("stops waiting for a retry the moment the caller aborts, and gives the money back", async () => {
    const abort = new AbortController()
    const aborting: Pause = (ms, signal) => {
      setTimeout(() => abort.abort(new Error("enough")), 1)
      return pause(ms, signal)
    }
    const settings = { retryBaseMs: 60_000, pause: aborting }
    const { run, log } = world({ a: [failing(503), ["late"]] }, settings, { signal: abort.signal })
    await expect(run()).rejects.toThrow("enough")
    expect(log).toEqual(["hold a", "call a", "release a"])
  })

  it("calls nobody for a caller who has aborted already", async () => {
    const signal = AbortSignal.abort(new Error("before"))
    const { run, log } = world({ a: [["x"]] }, {}, { signal })
    await expect(run()).rejects.toThrow("before")
    expect(log).toEqual(["hold a", "release a"])
  })
})
