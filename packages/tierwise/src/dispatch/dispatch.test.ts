import { getEventListeners } from "node:events"
import { afterEach, describe, expect, it, vi } from "vitest"
import { BudgetExceededError, BudgetUnavailableError, CandidatesExhaustedError } from "../spec/errors.ts"
import { nanoUsd } from "../spec/money.ts"
import { NO_USAGE } from "../spec/usage.ts"
import { failing, type Script, SOME_HOLD, world } from "../testing/scripted-dispatch.ts"
import { dispatch } from "./dispatch.ts"
import type {
  Admission,
  AfterRefusal,
  DispatchCandidate,
  DispatchOptions,
  HoldOutcome,
} from "./dispatch-options.ts"
import { type Pause, pause } from "./pause.ts"
import type { Relay } from "./relay.ts"

const refusedAt = (money: number) => {
  const refusal = { scope: "global:all", window: "day", unit: "NanoUsd", limit: 100, remaining: 100 } as const
  return new BudgetExceededError({ ...refusal, resetsAt: undefined }, { money: nanoUsd(money), tokens: 1 })
}

describe("dispatch", () => {
  afterEach(() => void vi.useRealTimers())

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

  it("waits a random share of the pause, and never longer than five seconds", async () => {
    const failures = [failing(500), failing(500), failing(500), failing(500), ["ok"]]
    const pauses = async (random: () => number) => {
      const { run, log } = world({ a: failures }, { maxRetries: 4, retryBaseMs: 1_000, random })
      await run()
      return log.filter((line) => line.startsWith("pause"))
    }
    expect(await pauses(() => 1)).toEqual(["pause 1000", "pause 2000", "pause 4000", "pause 5000"])
    expect(await pauses(() => 0.5)).toEqual(["pause 500", "pause 1000", "pause 2000", "pause 2500"])
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

  it("waits for a candidate that is the last by maxFallbackAttempts, whoever stands behind it", async () => {
    const limited = failing(429, { retryAfterMs: 10 })
    const { run, log } = world({ a: [limited, ["ok"]], b: [["never"]] }, { maxFallbackAttempts: 0 })
    expect(await run()).toEqual(["ok"])
    expect(log).toEqual(["hold a", "call a", "pause 10", "call a", "settle a 1"])
  })

  it("asks at most maxFallbackAttempts others [A1.max-fallback-attempts]", async () => {
    const { run, log } = world({ a: [failing(401)], b: [failing(401)], c: [failing(401)], d: [["ok"]] })
    await expect(run()).rejects.toThrow(CandidatesExhaustedError)
    expect(log.filter((line) => line.startsWith("call"))).toEqual(["call a", "call b", "call c"])
  })

  it("goes on to the next candidate when somebody else's budget refuses a call, which is no try", async () => {
    const { run, log, attempts } = world(
      { a: [refusedAt(300)], b: [refusedAt(200)], c: [["ok"]] },
      { maxFallbackAttempts: 0 },
    )
    expect(await run()).toEqual(["ok"])
    expect(log.filter((line) => !line.startsWith("call"))).toEqual([
      "hold a",
      "release a",
      "hold b",
      "release b",
      "hold c",
      "settle c 1",
    ])
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["skipped", "skipped", "answered"])
  })

  it("ends with the cheapest refusal when somebody else's budget refuses every call", async () => {
    const { run } = world({ a: [refusedAt(300)], b: [refusedAt(200)], c: [refusedAt(400)] })
    const error = await run().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ constructor: BudgetExceededError, quote: { money: 200 } })
  })

  it("asks the next when a candidate's own ledger is down, and says so when all are", async () => {
    const down = new BudgetUnavailableError("main", "connection lost")
    expect(await world({ a: [down], b: [["b"]] }).run()).toEqual(["b"])
    const { run, log } = world({ a: [down], b: [down] })
    await expect(run()).rejects.toBe(down)
    expect(log).toEqual(["hold a", "call a", "release a", "hold b", "call b", "release b"])
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

  it.each([
    ["a gateway's time-out", failing(504), "settle a 0"],
    ["an answer that was filtered away", failing(400, { code: "content_filter" }), "settle a 0"],
    ["a rejected key", failing(401), "release a"],
    ["an empty account", failing(402), "release a"],
    ["a model that is not there", failing(404), "release a"],
    ["a context that is full", failing(400, { code: "context_length_exceeded" }), "release a"],
    ["an error of no known shape", new Error("hm"), "release a"],
  ])(
    "asks the next one at once after %s, and closes the hold as the provider bills it",
    async (_, error, close) => {
      const { run, log } = world({ a: [error], b: [["ok"]] })
      expect(await run()).toEqual(["ok"])
      expect(log).toEqual(["hold a", "call a", close, "hold b", "call b", "settle b 1"])
    },
  )

  it.each([
    ["overloaded", failing(503)],
    ["a server error", failing(500)],
    ["the network", Object.assign(new Error("refused"), { code: "ECONNREFUSED" })],
  ])("asks the next one when retries did not heal %s", async (_, error) => {
    const { run, log } = world({ a: [error, error], b: [["ok"]] }, { maxRetries: 1 })
    expect(await run()).toEqual(["ok"])
    expect(log.slice(0, 5)).toEqual(["hold a", "call a", "pause 100", "call a", "release a"])
  })

  it("settles an answer that does not parse: it was billed, and nobody else would be asked for less", async () => {
    const unparseable = new SyntaxError("Unexpected token")
    const { run, log } = world({ a: [unparseable], b: [["never"]] })
    await expect(run()).rejects.toBe(unparseable)
    expect(log).toEqual(["hold a", "call a", "settle a 0"])
  })

  it("is over only when the hold is closed", async () => {
    let closed = false
    const settle = async () => {
      await pause(5, undefined)
      closed = true
    }
    const hold = async (): Promise<HoldOutcome> => ({
      granted: true,
      hold: { ...SOME_HOLD, settle, release: settle },
    })
    await world({ a: [["ok"]] }, {}, { hold }).run()
    expect(closed).toBe(true)
  })

  it("tells when a try began, how long it took, and how long its first piece", async () => {
    let now = 1_000
    const call = async function* ({ deploymentId }: DispatchCandidate) {
      now += 30
      if (deploymentId === "a") throw failing(401)
      yield "one"
      now += 20
      yield "two"
    }
    const { run, attempts } = world({ a: [], b: [] }, { now: () => now }, { call })
    await run()
    expect(attempts).toMatchObject([
      { startedAt: 1_000, durationMs: 30 },
      { startedAt: 1_030, durationMs: 50, firstPieceMs: 30 },
    ])
  })

  it("never continues with another candidate once the reader has seen a piece, and bills what was seen", async () => {
    const broken = failing(500)
    const { run, log, attempts } = world({ a: [["one", broken]], b: [["other"]] })
    await expect(run()).rejects.toBe(broken)
    expect(log).toEqual(["hold a", "call a", "settle a 1"])
    expect(attempts).toMatchObject([{ outcome: "failed", failure: "server-error", cost: 1 }])
  })

  it("commits to a candidate only with the first piece that has something in it", async () => {
    const opens = (piece: string) => piece !== ""
    const { run, log } = world({ a: [["", failing(401)]], b: [["", "", "one", ""]] }, {}, { opens })
    expect(await run()).toEqual(["", "", "one", ""])
    expect(log).toEqual(["hold a", "call a", "release a", "hold b", "call b", "settle b 4"])
  })

  it("gives an answer that is empty from end to end, for the validators to judge", async () => {
    const { run, attempts } = world({ a: [["", ""]], b: [["never"]] }, {}, { opens: () => false })
    expect(await run()).toEqual(["", ""])
    expect(attempts).toMatchObject([{ deploymentId: "a", outcome: "answered" }])
  })

  it("keeps nothing back once an answer has begun", async () => {
    const opens = (piece: string) => piece !== ""
    const { options } = world({ a: [["one", "", failing(500)]] }, {}, { opens })
    const pieces: string[] = []
    const reading = (async () => {
      for await (const piece of dispatch(options)) pieces.push(piece)
    })()
    await expect(reading).rejects.toThrow("status 500")
    expect(pieces).toEqual(["one", ""])
  })

  it("keeps an answer back until it is whole where that is asked for, and asks another if it breaks", async () => {
    const holdsBack = ({ deploymentId }: DispatchCandidate) => deploymentId === "a"
    const broken = world({ a: [["one", failing(401)]], b: [["two"]] }, {}, { holdsBack })
    expect(await broken.run()).toEqual(["two"])
    expect(broken.log).toEqual(["hold a", "call a", "settle a 1", "hold b", "call b", "settle b 1"])
    const whole = world({ a: [["one", "two"]] }, {}, { holdsBack })
    const first = await dispatch(whole.options).next()
    expect(first.value).toBe("one")
    expect(whole.attempts).toMatchObject([{ outcome: "answered" }])
  })

  it("limits the time until the answer opens, not until its first empty piece", async () => {
    const call = async function* ({ deploymentId }: DispatchCandidate) {
      yield ""
      if (deploymentId === "a") await new Promise(() => {})
      yield "ok"
    }
    const opens = (piece: string) => piece !== ""
    const { run, attempts } = world({ a: [], b: [] }, { attemptTimeoutMs: 20 }, { call, opens })
    expect(await run()).toEqual(["", "ok"])
    expect(attempts[0]).toMatchObject({ failure: "timeout" })
  })

  it("asks the next one when an answer ends before it began, and settles it as maybe billed", async () => {
    const { run, log, attempts } = world({ a: [[]], b: [["ok"]] })
    expect(await run()).toEqual(["ok"])
    expect(attempts[0]).toMatchObject({ outcome: "failed", failure: "truncated" })
    expect(log.slice(0, 3)).toEqual(["hold a", "call a", "settle a 0"])
  })

  it("settles a call that was taken before it failed as maybe billed, and tries nothing under its hold again", async () => {
    const overloaded = Object.assign(new Error("Overloaded"), {
      headers: new Headers(),
      error: { type: "overloaded_error" },
    })
    const { run, log } = world({ a: [overloaded, ["too late"]], b: [["ok"]] })
    expect(await run()).toEqual(["ok"])
    expect(log).toEqual(["hold a", "call a", "settle a 0", "hold b", "call b", "settle b 1"])
  })

  it("takes a defect inside a provider's package for its failure, and one of our own for what it is", async () => {
    const odd = new TypeError("x is undefined")
    const isProvider = () => true
    expect(await world({ a: [odd], b: [["ok"]] }, {}, { isProvider }).run()).toEqual(["ok"])
    const call = () => {
      throw odd
    }
    await expect(world({ a: [], b: [] }, {}, { isProvider, call }).run()).rejects.toBe(odd)
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

  it("is not disturbed by a model whose stream cannot be closed", async () => {
    let closed = 0
    const call = () => ({
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false as const, value: "one" }),
        return: async () => {
          closed++
          throw new Error("it is closed already")
        },
      }),
    })
    const { options, log } = world({ a: [] }, {}, { call })
    for await (const piece of dispatch(options)) {
      expect(piece).toBe("one")
      break
    }
    // Long enough for a rejection that nobody has handled to be told of.
    await pause(1, undefined)
    expect(closed).toBe(1)
    expect(log).toEqual(["hold a", "settle a 1"])
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
    const granted: HoldOutcome = { granted: true, hold: SOME_HOLD }
    const hold = async ({ deploymentId }: DispatchCandidate) => (deploymentId === "a" ? refused : granted)
    const { run, attempts } = world({ a: [["dear"]], b: [["cheap"]] }, {}, { hold })
    expect(await run()).toEqual(["cheap"])
    expect(attempts[0]).toMatchObject({ outcome: "skipped", because: "unaffordable" })
  })

  describe("when the budget refuses everybody who should answer", () => {
    const refusal = {
      scope: "tenant:a",
      window: "day",
      unit: "NanoUsd",
      limit: 5,
      remaining: 1,
      resetsAt: 0,
    } as const
    const quotes: Readonly<Record<string, number>> = { strong: 9, stronger: 12, weak: 2 }
    const limited = (limits: Readonly<Record<string, number>>, answer: AfterRefusal | undefined) => {
      const asked: number[] = []
      const used: Record<string, number> = {}
      const scripted = { strong: [["strong"]], stronger: [["stronger"]], weak: [["weak"]] }
      const story = world(
        scripted,
        {},
        {
          hold: async ({ deploymentId }) => {
            const quote = { money: nanoUsd(quotes[deploymentId] ?? 0), tokens: 1 }
            const nth = used[deploymentId] ?? 0
            used[deploymentId] = nth + 1
            if (quote.money > (limits[`${deploymentId}${nth}`] ?? limits[deploymentId] ?? 0))
              return { granted: false, refusal, quote }
            return { granted: true, hold: SOME_HOLD }
          },
          isWeaker: ({ deploymentId }) => deploymentId === "weak",
          whenRefused: async ({ quote }) => {
            asked.push(quote.money)
            return answer ?? "block"
          },
        },
      )
      return { ...story, asked }
    }

    it("ends the call, and asks no weaker candidate, although that one could be paid", async () => {
      const { run, asked, attempts } = limited({ weak: 100 }, "block")
      await expect(run()).rejects.toMatchObject({ code: "budget-exceeded", quote: { money: 9 } })
      expect(asked).toEqual([9])
      expect(attempts.map(({ deploymentId }) => deploymentId)).toEqual(["strong", "stronger"])
    })

    it("asks a weaker candidate where that is wanted", async () => {
      const { run, attempts } = limited({ weak: 100 }, "downgrade")
      expect(await run()).toEqual(["weak"])
      expect(attempts.map(({ outcome }) => outcome)).toEqual(["skipped", "skipped", "answered"])
    })

    it("tells the cheapest refusal when the weaker is refused too, and is asked only once", async () => {
      const { run, asked } = limited({}, "downgrade")
      await expect(run()).rejects.toMatchObject({ code: "budget-exceeded", quote: { money: 2 } })
      expect(asked).toEqual([9])
    })

    it("asks everybody again when something has changed", async () => {
      const { run, asked } = limited({ strong0: 0, strong1: 100 }, "ask-again")
      expect(await run()).toEqual(["strong"])
      expect(asked).toEqual([9])
    })

    it("lets a weaker candidate stand in for one that was called and failed", async () => {
      const { run, asked } = limited({ strong: 100, weak: 100 }, "block")
      expect(await run()).toEqual(["strong"])
      expect(asked).toEqual([])
      const failed = world(
        { strong: [failing(401)], weak: [["weak"]] },
        {},
        { isWeaker: ({ deploymentId }) => deploymentId === "weak" },
      )
      expect(await failed.run()).toEqual(["weak"])
    })
  })

  it("does not wait for the last of the proper candidates while a weaker one can be asked", async () => {
    const limited = failing(429, { retryAfterMs: 1_000 })
    const isWeaker = ({ deploymentId }: DispatchCandidate) => deploymentId === "weak"
    const { run, log } = world({ strong: [limited, ["late"]], weak: [["weak"]] }, {}, { isWeaker })
    expect(await run()).toEqual(["weak"])
    expect(log).not.toContain("pause 1000")
    const lastOfAll = world({ strong: [failing(401)], weak: [limited, ["weak"]] }, {}, { isWeaker })
    expect(await lastOfAll.run()).toEqual(["weak"])
    expect(lastOfAll.log).toContain("pause 1000")
  })

  it("tells the call and the record which hold pays for it", async () => {
    const ids: (string | undefined)[] = []
    const call = async function* (_: DispatchCandidate, __: AbortSignal | undefined, holdId?: string) {
      ids.push(holdId)
      yield "one"
    }
    const { run, attempts } = world({ a: [] }, {}, { call })
    await run()
    expect(ids).toEqual(["hold of a"])
    expect(attempts[0]?.holdId).toBe("hold of a")
  })

  it("keeps a hold while the provider is at work or its reader reads on, and no longer", async () => {
    const looks: boolean[] = []
    let goesOn: () => boolean = () => false
    let letGo = 0
    const hold = async (): Promise<HoldOutcome> => ({
      granted: true,
      hold: {
        ...SOME_HOLD,
        keep: (asked) => {
          goesOn = asked
          return () => void letGo++
        },
      },
    })
    let arrive = () => {}
    const call = async function* () {
      await new Promise<void>((resolve) => {
        arrive = resolve
      })
      yield "one"
      yield "two"
    }
    const { options } = world({ a: [] }, {}, { hold, call })
    const reading = dispatch(options)
    const first = reading.next()
    await pause(1, undefined)
    looks.push(goesOn())
    looks.push(goesOn())
    arrive()
    await first
    looks.push(goesOn())
    looks.push(goesOn())
    await reading.next()
    looks.push(goesOn())
    await reading.return(undefined)
    expect(looks).toEqual([true, true, false, false, true])
    expect(letGo).toBe(1)
  })

  it("tells of the failure, not of the budget, when one was called and another refused", async () => {
    const refusal = {
      scope: "tenant:a",
      window: "day",
      unit: "NanoUsd",
      limit: 5,
      remaining: 1,
      resetsAt: 0,
    } as const
    const refused: HoldOutcome = { granted: false, refusal, quote: { money: nanoUsd(9), tokens: 1 } }
    const granted: HoldOutcome = { granted: true, hold: SOME_HOLD }
    const hold = async ({ deploymentId }: DispatchCandidate) => (deploymentId === "a" ? granted : refused)
    const { run, attempts } = world({ a: [failing(401)], b: [["dear"]] }, {}, { hold })
    await expect(run()).rejects.toThrow(CandidatesExhaustedError)
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["failed", "skipped"])
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
    const hold = async ({ deploymentId }: DispatchCandidate): Promise<HoldOutcome> => ({
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
    const call = async function* ({ deploymentId }: DispatchCandidate) {
      if (deploymentId === "a") await new Promise(() => {})
      yield "ok"
    }
    const settings = { attemptTimeoutMs: 20, now: Date.now }
    const { signal } = new AbortController()
    const { run, attempts, log } = world({ a: [], b: [] }, settings, { call, signal })
    expect(await run()).toEqual(["ok"])
    expect(attempts[0]).toMatchObject({ outcome: "failed", failure: "timeout" })
    expect(log).toEqual(["hold a", "settle a 0", "hold b", "settle b 1"])
  })

  it("stops a model that is too slow, and knows its own time-out whatever the model throws then", async () => {
    const stopped = new DOMException("stopped", "AbortError")
    const call = (
      { deploymentId }: DispatchCandidate,
      signal: AbortSignal | undefined,
    ): AsyncIterable<string> => {
      const waiting = new Promise<never>((_, reject) =>
        signal?.addEventListener("abort", () => reject(stopped)),
      )
      const answer = (async function* () {
        yield "ok"
      })()
      return { [Symbol.asyncIterator]: () => (deploymentId === "a" ? { next: () => waiting } : answer) }
    }
    const { run, attempts } = world({ a: [], b: [] }, { attemptTimeoutMs: 10 }, { call })
    expect(await run()).toEqual(["ok"])
    expect(attempts[0]).toMatchObject({ failure: "timeout", error: "stopped" })
  })

  it("leaves no timer behind, whoever answered", async () => {
    vi.useFakeTimers()
    const { run } = world({ a: [failing(401)], b: [["ok"]] }, { attemptTimeoutMs: 60_000 })
    await run()
    expect(vi.getTimerCount()).toBe(0)
  })

  it("books an answer once, also when the listener that is told of it throws", async () => {
    const onAttempt = () => {
      throw new Error("listener")
    }
    const { run, log } = world({ a: [["ok"]], b: [["never"]] }, {}, { onAttempt })
    await expect(run()).rejects.toThrow("listener")
    expect(log).toEqual(["hold a", "call a", "settle a 1"])
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

  it.each([
    ["without a time-out of ours", undefined],
    ["beside a time-out of ours", 60_000],
  ])(
    "rethrows the caller's abort untouched, at once, from a model that ignores its signal, %s",
    async (_, attemptTimeoutMs) => {
      const abort = new AbortController()
      const reason = new Error("enough")
      const call = async function* () {
        await new Promise(() => {})
        yield "never"
      }
      const { run, attempts, log } = world(
        { a: [], b: [] },
        { attemptTimeoutMs },
        { call, signal: abort.signal },
      )
      const running = run()
      await pause(0, undefined)
      abort.abort(reason)
      await expect(running).rejects.toBe(reason)
      expect(attempts).toMatchObject([{ deploymentId: "a", failure: "aborted" }])
      expect(log).toEqual(["hold a", "settle a 0"])
    },
  )

  it("stops waiting for a retry the moment the caller aborts, and gives the money back", async () => {
    const abort = new AbortController()
    const given: unknown[] = []
    const aborting: Pause = (ms, signal) => {
      given.push(signal)
      setTimeout(() => abort.abort(new Error("enough")), 1)
      return pause(ms, signal)
    }
    const settings = { retryBaseMs: 60_000, pause: aborting }
    const { run, log } = world({ a: [failing(503), ["late"]] }, settings, { signal: abort.signal })
    await expect(run()).rejects.toThrow("enough")
    expect(given).toEqual([abort.signal])
    expect(log).toEqual(["hold a", "call a", "release a"])
  })

  it("calls nobody for a caller who has aborted already", async () => {
    const signal = AbortSignal.abort(new Error("before"))
    const { run, log } = world({ a: [["x"]] }, {}, { signal })
    await expect(run()).rejects.toThrow("before")
    expect(log).toEqual(["hold a", "release a"])
  })
})

describe("dispatch that hands the rest of an answer over", () => {
  const REST = "(rest)"

  /** A reader who takes the rest directly. */
  function handingOver(script: Script, extra: Partial<DispatchOptions<DispatchCandidate, string>> = {}) {
    let rest: Relay<string> | undefined
    const handOver = {
      pieceOf: (live: Relay<string>) => {
        rest = live
        return REST
      },
      join: (pieces: readonly string[]) => pieces.join("+"),
    }
    const seen: string[] = []
    const meter = () => ({
      see: (piece: string) => void seen.push(piece),
      read: () => ({ usage: NO_USAGE, cost: nanoUsd(seen.length) }),
    })
    const { options, ...more } = world(script, {}, { handOver, meter, ...extra })
    const read = async (readsRest = true) => {
      const pieces: string[] = []
      for await (const piece of dispatch(options)) {
        pieces.push(piece)
        if (piece !== REST || !readsRest) continue
        for await (const taken of rest as Relay<string>) pieces.push(taken)
      }
      return pieces
    }
    return { ...more, read, seen }
  }

  it("meters what its reader has taken, and leaves nothing on the caller's signal", async () => {
    const { signal } = new AbortController()
    const { read, seen, attempts, log } = handingOver({ a: [["one", "two", "three"]] }, { signal })
    expect(await read()).toEqual(["one", REST, "two", "three"])
    expect(seen).toEqual(["one", "two+three"])
    expect(attempts).toMatchObject([{ outcome: "answered" }])
    expect(log.at(-1)).toBe("settle a 2")
    expect(getEventListeners(signal, "abort")).toEqual([])
  })

  it("throws what the rest broke with once it has been taken, asks nobody else, and bills what was taken", async () => {
    const { read, seen, attempts, log } = handingOver({ a: [["one", "two", failing(500)]], b: [["never"]] })
    await expect(read()).rejects.toThrow("status 500")
    expect(seen).toEqual(["one", "two"])
    expect(attempts).toMatchObject([{ deploymentId: "a", failure: "server-error" }])
    expect(log).toEqual(["hold a", "call a", "settle a 2"])
  })

  it("takes an answer whose rest nobody has read for one that failed", async () => {
    const { read, attempts } = handingOver({ a: [["one", "two"]] })
    await expect(read(false)).rejects.toThrow("not read to its end")
    expect(attempts).toMatchObject([{ outcome: "failed" }])
  })

  it("waits for leave no longer than its caller does, and gives back what comes too late", async () => {
    const leaving = new AbortController()
    const ended: string[] = []
    const { promise: asked, resolve: answer } = Promise.withResolvers<Admission>()
    const { options, log } = world({ a: [["never"]] }, {}, { signal: leaving.signal, admit: () => asked })
    const reading = dispatch(options).next()
    leaving.abort(new Error("the caller left"))
    await expect(reading).rejects.toThrow("the caller left")
    answer({ admitted: true, pass: { ended: (how) => void ended.push(how.ended) } })
    await asked
    await Promise.resolve()
    expect(ended).toEqual(["unsent"])
    expect(log).toEqual([])
  })
})

describe("dispatch with a hedge", () => {
  it("ends the call that lost, and tells of both where both failed", async () => {
    const signals = new Map<string, AbortSignal | undefined>()
    const hedge = { afterMs: () => 1, budget: { called: () => {}, take: () => true } }
    const call = async function* ({ deploymentId }: DispatchCandidate, signal: AbortSignal | undefined) {
      signals.set(deploymentId, signal)
      if (deploymentId === "a") await new Promise(() => {})
      yield "ok"
    }
    const { run, attempts, log } = world({ a: [], b: [] }, {}, { hedge, call })
    expect(await run()).toEqual(["ok"])
    expect([signals.get("a")?.aborted, signals.get("b")?.aborted]).toEqual([true, false])
    expect(attempts.map(({ deploymentId, outcome }) => `${deploymentId} ${outcome}`).toSorted()).toEqual([
      "a failed",
      "b answered",
    ])
    expect(log.toSorted()).toEqual(["hold a", "hold b", "settle a 0", "settle b 1"])

    const failed: string[] = []
    const fails = async function* ({ deploymentId }: DispatchCandidate) {
      failed.push(deploymentId)
      if (deploymentId === "a") await new Promise((resolve) => setTimeout(resolve, 20))
      yield* []
      throw failing(401)
    }
    const none = world({ a: [], b: [], c: [] }, { maxFallbackAttempts: 1 }, { hedge, call: fails })
    await expect(none.run()).rejects.toBeInstanceOf(CandidatesExhaustedError)
    expect(failed).toEqual(["a", "b"])
  })
})
