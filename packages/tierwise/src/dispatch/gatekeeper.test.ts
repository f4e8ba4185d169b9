import { describe, expect, it } from "vitest"
import type { BreakerCall, HealthEntry } from "../spec/health.ts"
import { NO_USAGE } from "../spec/usage.ts"
import type { TryEnding } from "./dispatch-options.ts"
import { FAILURE_HANDLING } from "./failures/failure-handling.ts"
import { gatekeeper, LOOK_AGAIN_MS } from "./gatekeeper.ts"
import { type HealthBook, healthBook } from "./health/health-book.ts"
import type { TrafficLimits } from "./limits/rate-limit.ts"

const NOW = 1_000_000

interface Doors {
  /** What the health book says; default: come in. */
  readonly entry?: HealthEntry
  /** What the limits say; default: come in. */
  readonly room?: ReturnType<TrafficLimits["enter"]>
}

/** A gate before one deployment, `a`, that writes down what everybody behind it is told. */
function open({ entry, room }: Doors = {}) {
  const log: string[] = []
  const clock = { at: NOW }
  const call: BreakerCall = { isProbe: false, ended: (how) => void log.push(`breaker ${how}`) }
  const slot = { ended: (used?: number | "unsent") => void log.push(`used ${used}`) }
  const health: HealthBook = {
    ...healthBook(),
    enter: (key, evenIfCooling) => {
      log.push(`enter ${key}${evenIfCooling === true ? " again" : ""}`)
      return entry ?? { allowed: true, call }
    },
    cool: (key, until, because) => void log.push(`cool ${key} ${until - clock.at} ${because}`),
  }
  const limits: TrafficLimits = {
    enter: (tokens) => {
      log.push(`room for ${tokens}`)
      return room ?? { allowed: true, slot }
    },
    learn: (headers) => void log.push(`learn ${JSON.stringify(headers)}`),
    load: () => 0,
  }
  const gate = gatekeeper({
    health,
    healthKeyOf: (key) => `${key}@1`,
    handling: FAILURE_HANDLING,
    limits: new Map([["a", limits]]),
    stats: {
      of: () => ({ inFlight: 0, ewmaLatencyMs: undefined }),
      began: (key) => {
        log.push(`began ${key}`)
        return {
          ended: (ms) => void log.push(`took ${ms}`),
          failed: (ms) => void log.push(`failed after ${ms}`),
        }
      },
    },
    times: {
      saw: (key, ms) => void log.push(`saw ${key} ${ms}`),
      p95: () => undefined,
      forget: () => {},
    },
    now: () => clock.at,
    onEnded: (key) => void log.push(`free ${key}`),
  })
  return { gate, log, clock }
}

/** A try that has been let in, 30 ms ago. */
async function letIn() {
  const { gate, log, clock } = open()
  const admission = await gate.admit("a", 7, false)
  if (!admission.admitted) throw new Error("it was not let in")
  log.length = 0
  clock.at += 30
  return { pass: admission.pass, log }
}

/** All that is told when it ends so. */
async function toldOf(how: TryEnding) {
  const { pass, log } = await letIn()
  pass.ended(how)
  return log
}

const failed = (failure: "server-error" | "rate-limited" | "aborted" | "timeout", error: unknown = {}) =>
  ({ ended: "failed", failure, error, isItsOwn: true }) as const

describe("a gate", () => {
  it("asks the health book, by the name that it knows, and then for room", async () => {
    const { gate, log } = open()
    expect(await gate.admit("a", 7, false)).toMatchObject({ admitted: true })
    expect(log).toEqual(["enter a@1", "room for 7", "began a"])
    await gate.admit("a", 7, true)
    expect(log).toContain("enter a@1 again")
  })

  it.each([
    ["requests", "saturated", NOW + 5],
    ["tokens", "saturated", NOW + 5],
    ["concurrency", "saturated", undefined],
    ["saturated", "cooling-down", NOW + 5],
    ["too-large", "too-large", undefined],
  ] as const)(
    "keeps out who has no room (%s), and gives the breaker its call back",
    async (because, told, until) => {
      const { gate, log } = open({ room: { allowed: false, because, until } })
      expect(await gate.admit("a", 7, false)).toEqual({ admitted: false, because: told, until })
      expect(log).toEqual(["enter a@1", "room for 7", "breaker neither"])
    },
  )

  it.each(["cooling-down", "circuit-open"] as const)(
    "says until when somebody is away (%s)",
    async (because) => {
      const { gate, log } = open({ entry: { allowed: false, because, until: NOW + 60_000 } })
      expect(await gate.admit("a", 7, false)).toEqual({ admitted: false, because, until: NOW + 60_000 })
      expect(log).toEqual(["enter a@1"])
    },
  )

  it("lets those behind a probe look again soon, and at the latest when its time is up", async () => {
    const clock = { at: NOW }
    const now = () => clock.at
    const breaker = { failures: 1, openMs: 1_000, probeLeaseMs: 10_000 }
    const gate = gatekeeper({
      health: healthBook({ breaker, now, random: () => 0.5 }),
      handling: FAILURE_HANDLING,
      limits: new Map(),
      stats: undefined,
      now,
    })
    const first = await gate.admit("a", 1, false)
    if (first.admitted) first.pass.ended(failed("server-error"))
    clock.at += 5_000
    expect(await gate.admit("a", 1, false)).toMatchObject({ admitted: true })
    const soon = clock.at + LOOK_AGAIN_MS
    expect(await gate.admit("a", 1, false)).toMatchObject({ because: "circuit-open", until: soon })
    clock.at += 9_900
    expect(await gate.admit("a", 1, false)).toMatchObject({ until: clock.at + 100 })
  })
})

describe("the end of a try", () => {
  const usage = { ...NO_USAGE, inputTokens: 4, outputTokens: 2 }

  it("tells everybody of an answer", async () => {
    expect(await toldOf({ ended: "answered", usage, firstPieceMs: 12 })).toEqual([
      "used 6",
      "breaker well",
      "took 12",
      "saw a 12",
      "free a",
    ])
    expect(await toldOf({ ended: "answered", usage: undefined, firstPieceMs: 12 })).toContain(
      "used undefined",
    )
  })

  it("takes nothing from anybody where nothing was sent", async () => {
    expect(await toldOf({ ended: "unsent" })).toEqual([
      "used unsent",
      "breaker neither",
      "took undefined",
      "free a",
    ])
  })

  it("counts a failure against who failed, in the balance too", async () => {
    expect(await toldOf(failed("server-error"))).toEqual([
      "used undefined",
      "breaker badly",
      "failed after 30",
      "free a",
    ])
  })

  it.each([
    ["a caller who left", failed("aborted")],
    ["a deadline that was too short", { ...failed("timeout"), isItsOwn: false }],
  ])("counts against nobody what came of %s", async (_, how) => {
    expect(await toldOf(how)).toEqual(["used undefined", "breaker neither", "took undefined", "free a"])
  })

  it("keeps to the pause that was asked for, and learns from what came with it", async () => {
    const headers = { "x-ratelimit-remaining-requests": "0" }
    expect(await toldOf(failed("rate-limited", { headers, retryAfterMs: 9_000 }))).toEqual([
      "used undefined",
      "breaker neither",
      "took undefined",
      "cool a@1 9000 rate-limited",
      'learn {"x-ratelimit-remaining-requests":"0"}',
      "free a",
    ])
  })

  it("frees its place whatever an error is made of", async () => {
    const error = {
      get headers(): never {
        throw new Error("a trap")
      },
    }
    const { pass, log } = await letIn()
    expect(() => pass.ended(failed("server-error", error))).toThrow("a trap")
    expect(log).toEqual(["used undefined", "breaker badly", "failed after 30", "free a"])
  })
})
