import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../../spec/errors.ts"
import type { TrafficLimit } from "../../spec/traffic.ts"
import { LEARNT_FOR_MS } from "./learnt-limits.ts"
import { type Entry, type Slot, type TrafficLimits, trafficLimits } from "./rate-limit.ts"

const START = Date.UTC(2026, 0, 15)

function world(limits: TrafficLimit): TrafficLimits & { at: number } {
  const clock = { at: START }
  return Object.assign(clock, trafficLimits({ limits, now: () => clock.at }))
}

function slotOf(entry: Entry): Slot {
  if (!entry.allowed) throw new Error(`not let in: ${entry.because}`)
  return entry.slot
}

describe("trafficLimits", () => {
  it("lets in as many calls as a minute may have, also all at once, and says when the next may come", () => {
    const key = world({ requestsPerMinute: 3 })
    for (const _ of [1, 2, 3]) slotOf(key.enter(1_000_000)).ended()
    const until = START + 61_000
    expect(key.enter(0)).toEqual({ allowed: false, because: "requests", until })
    key.at = until - 1
    expect(key.enter(0).allowed).toBe(false)
    key.at = until
    expect(key.enter(0).allowed).toBe(true)
  })

  it("counts tokens by their estimate until the call is over, then by what it used", () => {
    const key = world({ tokensPerMinute: 100 })
    const call = slotOf(key.enter(80))
    expect(key.enter(30)).toMatchObject({ allowed: false, because: "tokens", until: START + 61_000 })
    call.ended(20)
    expect(key.enter(81)).toMatchObject({ allowed: false })
    expect(key.enter(80).allowed).toBe(true)
  })

  it("counts what a call used beyond its estimate from when that is known", () => {
    const key = world({ tokensPerMinute: 100 })
    const call = slotOf(key.enter(10))
    key.at += 59_000
    call.ended(100)
    expect(key.enter(1)).toMatchObject({ because: "tokens", until: START + 61_000 })
    key.at = START + 61_000
    expect(key.enter(11)).toMatchObject({ because: "tokens", until: START + 120_000 })
    expect(key.enter(10).allowed).toBe(true)
  })

  it("ends a call once, and keeps the estimate where no number of tokens is said", () => {
    for (const said of [undefined, Number.NaN, -1, Infinity]) {
      const key = world({ tokensPerMinute: 100, concurrency: 2 })
      const call = slotOf(key.enter(60))
      call.ended(said)
      call.ended(0)
      expect(key.enter(41)).toMatchObject({ because: "tokens" })
      slotOf(key.enter(40))
      expect(key.load()).toBe(1)
      expect(key.enter(0).allowed).toBe(true)
      expect(key.enter(0)).toEqual({ allowed: false, because: "concurrency", until: undefined })
    }
  })

  it("lets only so many run at once, and another one in as soon as one has ended", () => {
    const key = world({ concurrency: 2 })
    const first = slotOf(key.enter(1))
    slotOf(key.enter(1))
    expect(key.enter(1)).toEqual({ allowed: false, because: "concurrency", until: undefined })
    first.ended(1)
    expect(key.enter(1).allowed).toBe(true)
  })

  it("names the limit that lasts longest, so that nobody asks again for nothing", () => {
    const key = world({ requestsPerMinute: 1, tokensPerMinute: 10, concurrency: 1 })
    const call = slotOf(key.enter(1))
    key.at += 30_000
    call.ended(10)
    expect(key.enter(5)).toEqual({ allowed: false, because: "tokens", until: START + 91_000 })
    expect(key.enter(0)).toEqual({ allowed: false, because: "requests", until: START + 61_000 })
  })

  it("says of a call that no minute could hold that it is too large, and of nothing else", () => {
    const key = world({ tokensPerMinute: 100 })
    expect(key.enter(101)).toEqual({ allowed: false, because: "too-large", until: undefined })
    expect(key.enter(99.1).allowed).toBe(true)
    expect(key.enter(0.9)).toMatchObject({ because: "tokens" })
  })

  it("tells how full it is by the fullest of its limits", () => {
    const key = world({ requestsPerMinute: 10, tokensPerMinute: 1_000, concurrency: 4 })
    expect(key.load()).toBe(0)
    const call = slotOf(key.enter(100))
    expect(key.load()).toBe(0.25)
    call.ended(900)
    expect(key.load()).toBe(0.9)
    slotOf(key.enter(100)).ended(400)
    expect(key.load()).toBe(1)
    key.at += 62_000
    expect(key.load()).toBe(0)
    expect(world({}).load()).toBe(0)
  })

  it("refuses limits that are none, and names the field", () => {
    const pathOf = (limits: TrafficLimit) => {
      try {
        trafficLimits({ limits, now: () => 0, path: "deployments[2].limits" })
        return "none"
      } catch (error) {
        return error instanceof ConfigError ? error.path : String(error)
      }
    }
    for (const bad of [0, -1, 1.5, Number.NaN, Infinity, "60" as never]) {
      expect(pathOf({ requestsPerMinute: bad })).toBe("deployments[2].limits.requestsPerMinute")
      expect(pathOf({ tokensPerMinute: bad })).toBe("deployments[2].limits.tokensPerMinute")
      expect(pathOf({ concurrency: bad })).toBe("deployments[2].limits.concurrency")
    }
    expect(pathOf({ requestsPerMinute: undefined, concurrency: 1 })).toBe("none")
  })

  it("refuses an estimate that is no number of tokens, and counts nothing for it", () => {
    const key = world({ requestsPerMinute: 1 })
    for (const bad of [Number.NaN, -1, Infinity]) expect(() => key.enter(bad)).toThrow(ConfigError)
    expect(key.enter(1).allowed).toBe(true)
  })

  it("learns a limit where none is configured or where it is lower, and forgets it in time", () => {
    const learnt = { "x-ratelimit-limit-requests": "2" }
    for (const [requestsPerMinute, most] of [
      [undefined, 2],
      [3, 2],
      [1, 1],
    ] as const) {
      const key = world({ requestsPerMinute })
      key.learn(learnt)
      for (let call = 0; call < most; call++) slotOf(key.enter(1))
      expect(key.enter(1)).toMatchObject({ because: "requests" })
      key.at += LEARNT_FOR_MS
      for (let call = 0; call < (requestsPerMinute ?? 5); call++) slotOf(key.enter(1))
      expect(key.enter(1).allowed).toBe(requestsPerMinute === undefined)
    }
  })

  it("counts from the start what a limit is learnt for later", () => {
    const key = world({})
    slotOf(key.enter(700))
    key.learn({ "x-ratelimit-limit-tokens": "1000" })
    expect(key.enter(301)).toMatchObject({ because: "tokens" })
    expect(key.enter(300).allowed).toBe(true)
  })

  it("lets a call that is larger than a learnt limit in alone, instead of never", () => {
    const key = world({})
    key.learn({ "x-ratelimit-limit-tokens": "1000" })
    slotOf(key.enter(5_000))
    expect(key.enter(1)).toMatchObject({ because: "tokens", until: START + 61_000 })
    key.at += 61_000
    slotOf(key.enter(1))
    expect(key.enter(5_000)).toMatchObject({ because: "tokens", until: START + 122_000 })
  })

  it("does not ask a provider that has nothing left before its reset, whatever comes in between", () => {
    const key = world({ requestsPerMinute: 100 })
    key.learn({ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12s" })
    key.learn({ "x-ratelimit-limit-requests": "200", "x-ratelimit-remaining-requests": "7" })
    expect(key.enter(1)).toEqual({ allowed: false, because: "saturated", until: START + 12_000 })
    expect(key.load()).toBe(1)
    key.at += 12_000
    expect(key.enter(1).allowed).toBe(true)
    expect(key.load()).toBe(0.01)
  })

  it("asks again after ten minutes, however far away the reset is said to be", () => {
    const key = world({})
    key.learn({ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20h0m0s" })
    expect(key.enter(1)).toMatchObject({ because: "saturated", until: START + LEARNT_FOR_MS })
  })

  it("never exceeds a limit in any 60 s, in any order of calls beginning, ending and time passing", () => {
    const limits = { requestsPerMinute: 5, tokensPerMinute: 100, concurrency: 4 }
    const action = fc.oneof(
      fc.record({ enter: fc.constantFrom(0, 1, 20, 50, 100) }),
      fc.record({
        end: fc.nat(3),
        actual: fc.option(fc.constantFrom(0, 1, 30, 100, 150), { nil: undefined }),
      }),
      fc.record({ waitMs: fc.oneof(fc.nat(3_000), fc.constantFrom(59_000, 60_000, 61_000)) }),
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120, size: "max" }), (actions) => {
        const key = world(limits)
        /** Tokens are what counts: the estimate, less what was given back, and what came on top as of its own time. */
        const counted: { at: number; calls: number; tokens: number }[] = []
        const open: { slot: Slot; estimate: number; entry: (typeof counted)[number] }[] = []
        const since = (at: number, unit: "calls" | "tokens") =>
          counted.reduce((sum, one) => (one.at >= at ? sum + one[unit] : sum), 0)
        const enter = (tokens: number) => {
          const answer = key.enter(tokens)
          const isFull =
            open.length >= limits.concurrency ||
            since(key.at - 60_999, "calls") >= limits.requestsPerMinute ||
            since(key.at - 60_999, "tokens") + tokens > limits.tokensPerMinute
          expect(answer.allowed || isFull).toBe(true)
          if (!answer.allowed) return
          const entry = { at: key.at, calls: 1, tokens }
          counted.push(entry)
          open.push({ slot: answer.slot, estimate: tokens, entry })
          expect(open.length).toBeLessThanOrEqual(limits.concurrency)
          expect(since(key.at - 60_000, "calls")).toBeLessThanOrEqual(limits.requestsPerMinute)
          expect(since(key.at - 60_000, "tokens")).toBeLessThanOrEqual(limits.tokensPerMinute)
        }
        const end = (index: number, actual: number | undefined) => {
          const [ended] = open.splice(index, 1)
          ended?.slot.ended(actual)
          if (ended === undefined || actual === undefined) return
          const more = actual - ended.estimate
          if (more > 0) counted.push({ at: key.at, calls: 0, tokens: more })
          else ended.entry.tokens += more
        }
        for (const act of actions) {
          if ("waitMs" in act) key.at += act.waitMs
          else if ("end" in act) end(act.end, act.actual)
          else enter(act.enter)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})
