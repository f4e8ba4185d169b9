import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { BreakerCall, BreakerChange, BreakerState, CallEnding } from "../../spec/health.ts"
import { must } from "../../testing/contract.ts"
import {
  type BreakerEntry,
  type BreakerOptions,
  type CircuitBreaker,
  circuitBreaker,
} from "./circuit-breaker.ts"

const START = Date.UTC(2026, 0, 15, 12)
const OPEN_MS = 15_000
const LEASE_MS = 60_000

describe("circuitBreaker", () => {
  it("opens after five bad calls in a row, and refuses at once until its time is over", () => {
    const { breaker, waitFor } = world()
    call(breaker, "badly", "badly", "badly", "badly", "well", "badly", "badly", "badly", "badly")
    expect(breaker.state()).toBe("closed")
    call(breaker, "badly")
    expect(breaker.enter()).toEqual({ allowed: false, until: START + OPEN_MS })
    waitFor(OPEN_MS - 1)
    expect(breaker.state()).toBe("open")
    waitFor(1)
    expect(breaker.state()).toBe("half-open")
    expect(breaker.enter().allowed).toBe(true)
  })

  it("sends one probe, refuses the others meanwhile, and closes when it ends well", () => {
    const { breaker, waitFor } = opened()
    waitFor(OPEN_MS)
    const probe = admitted(breaker)
    expect(probe.isProbe).toBe(true)
    expect(breaker.enter()).toEqual({ allowed: false, until: START + OPEN_MS + LEASE_MS })
    probe.ended("well")
    expect(breaker.state()).toBe("closed")
    expect(breaker.until).toBeUndefined()
    expect(admitted(breaker).isProbe).toBe(false)
  })

  it("stays open twice as long after each probe that fails, up to the longest, and begins small once it was closed", () => {
    const { breaker, waitFor, now } = opened()
    const waits: number[] = []
    for (let probe = 0; probe < 6; probe++) {
      const openMs = (breaker.until ?? 0) - now()
      waits.push(openMs)
      waitFor(openMs)
      admitted(breaker).ended(probe < 5 ? "badly" : "well")
    }
    call(breaker, ...FIVE_BAD)
    expect([...waits, (breaker.until ?? 0) - now()]).toEqual([
      15_000, 30_000, 60_000, 120_000, 120_000, 120_000, 15_000,
    ])
  })

  it("spreads its time by a tenth either way, and never beyond the longest", () => {
    const openFor = (random: number, options: BreakerOptions = {}) =>
      (opened({ ...options }, () => random).breaker.until ?? 0) - START
    expect([0, 0.5, 1 - Number.EPSILON].map((random) => Math.round(openFor(random)))).toEqual([
      13_500, 15_000, 16_500,
    ])
    expect(openFor(0.9, { longestOpenMs: OPEN_MS })).toBe(OPEN_MS)
  })

  it("lets a probe that says nothing leave its place to the next caller", () => {
    const { breaker, waitFor, changes } = opened()
    waitFor(OPEN_MS)
    admitted(breaker).ended("neither")
    const next = admitted(breaker)
    expect(next.isProbe).toBe(true)
    expect(breaker.enter().allowed).toBe(false)
    next.ended("well")
    expect(changes.map(({ from, to, because }) => `${from} ${to} ${because}`)).toEqual([
      "closed open tripped",
      "open half-open probe-sent",
      "half-open closed probe-answered",
    ])
  })

  it("gives the place of a lost probe away when its lease is over, and hears the lost one no more", () => {
    const { breaker, waitFor } = opened()
    waitFor(OPEN_MS)
    const lost = admitted(breaker)
    waitFor(LEASE_MS - 1)
    expect(breaker.enter().allowed).toBe(false)
    waitFor(1)
    const next = admitted(breaker)
    lost.ended("well")
    expect(breaker.state()).toBe("half-open")
    next.ended("badly")
    expect(breaker.state()).toBe("open")
  })

  it("still hears a probe that is late, if nobody has taken its place", () => {
    const { breaker, waitFor } = opened()
    waitFor(OPEN_MS)
    const late = admitted(breaker)
    waitFor(10 * LEASE_MS)
    late.ended("well")
    expect(breaker.state()).toBe("closed")
  })

  it("hears no call that began before it opened, nor one that has ended already", () => {
    const { breaker, waitFor } = world()
    const early = Array.from({ length: 12 }, () => admitted(breaker))
    for (const one of early.slice(0, 5)) one.ended("badly")
    early[5]?.ended("well")
    expect(breaker.state()).toBe("open")
    waitFor(OPEN_MS)
    const probe = admitted(breaker)
    early[6]?.ended("well")
    expect(breaker.state()).toBe("half-open")
    probe.ended("well")
    probe.ended("badly")
    for (const one of early) one.ended("badly")
    expect(breaker.state()).toBe("closed")
  })

  it("stays open no longer than was left of it when its clock is set back, and is over when it is set ahead", () => {
    const { breaker, waitFor, now } = opened()
    waitFor(5_000)
    expect(breaker.enter().allowed).toBe(false)
    waitFor(-3_600_000)
    expect(breaker.until).toBe(now() + OPEN_MS - 5_000)
    waitFor(OPEN_MS - 5_001)
    expect(breaker.state()).toBe("open")
    waitFor(1)
    expect(breaker.state()).toBe("half-open")
    const lost = admitted(breaker)
    waitFor(-3_600_000)
    expect(breaker.enter()).toEqual({ allowed: false, until: now() + LEASE_MS })
    waitFor(3_600_000)
    expect(admitted(breaker).isProbe).toBe(true)
    lost.ended("well")
    // What was over once is not open again.
    expect(breaker.state()).toBe("half-open")
  })

  it("is over for good when its clock was ahead for a moment", () => {
    const { breaker, waitFor } = opened()
    waitFor(3_600_000)
    expect(breaker.until).toBeUndefined()
    waitFor(-3_600_000)
    expect(breaker.state()).toBe("half-open")
    expect(admitted(breaker).isProbe).toBe(true)
  })

  it.for([
    ["the last calls", { calls: 4, share: 0.5 }],
    ["the last time", { ms: 10_000, share: 0.5, least: 4 }],
  ] as const)("opens by the share of %s", ([, window]) => {
    const { breaker } = world({ window })
    call(breaker, "badly", "well", "well", "neither", "neither")
    expect(breaker.state()).toBe("closed")
    call(breaker, "badly")
    expect(breaker.state()).toBe("open")
  })

  it("takes over what others know", () => {
    const { breaker, waitFor, changes, now } = world()
    const before = admitted(breaker)
    breaker.learn({ state: "open", until: START + 100, failedProbes: 2, probeUntil: 0 })
    before.ended("well")
    expect(breaker.enter()).toEqual({ allowed: false, until: START + 100 })
    waitFor(100)
    // Somebody else sends the probe.
    breaker.learn({ state: "open", until: START + 100, failedProbes: 2, probeUntil: now() + 500 })
    expect(breaker.enter()).toEqual({ allowed: false, until: START + 600 })
    waitFor(500)
    admitted(breaker).ended("badly")
    expect((breaker.until ?? 0) - now()).toBe(8 * OPEN_MS)
    breaker.learn({ state: "closed" })
    expect(breaker.failedProbes).toBe(0)
    expect(changes.map(({ to, because }) => `${to} ${because}`)).toEqual([
      "open told",
      "half-open probe-sent",
      "open probe-failed",
      "closed told",
    ])
  })

  it("tells listeners until they end it, whatever they throw", async () => {
    const { breaker } = world()
    const heard: BreakerState[] = []
    breaker.onChange(() => {
      throw new Error("no")
    })
    const rejects: (change: BreakerChange) => unknown = async () => Promise.reject(new Error("no"))
    breaker.onChange(rejects)
    const stop = breaker.onChange(({ to }) => void heard.push(to))
    call(breaker, ...FIVE_BAD)
    stop()
    breaker.learn({ state: "closed" })
    expect(heard).toEqual(["open"])
  })

  it.for([
    [{ failures: 0 }, "breaker.failures"],
    [{ failures: 1.5 }, "breaker.failures"],
    [{ failures: 2, window: { calls: 2, share: 1 } }, "breaker.failures"],
    [{ window: { calls: 0, share: 1 } }, "breaker.window.calls"],
    [{ window: { calls: 10_001, share: 1 } }, "breaker.window.calls"],
    [{ window: { calls: 5, share: 0 } }, "breaker.window.share"],
    [{ window: { ms: 5, share: 1.1 } }, "breaker.window.share"],
    [{ window: { ms: Number.NaN, share: 1 } }, "breaker.window.ms"],
    [{ window: { ms: 5, share: 1, least: 0 } }, "breaker.window.least"],
    [{ openMs: 0 }, "breaker.openMs"],
    [{ longestOpenMs: 14_999 }, "breaker.longestOpenMs"],
    [{ probeLeaseMs: Number.POSITIVE_INFINITY }, "breaker.probeLeaseMs"],
  ] as const)("takes no %j", ([options, path]) => {
    expect(() => world(options)).toThrow(expect.objectContaining({ code: "invalid-config", path }))
  })
})

const FAILURES = 3

/** What has to be true of a breaker, told in plain lists. */
class Model {
  at = START
  readonly calls: {
    readonly call: BreakerCall
    readonly turn: number
    readonly at: number
    open: boolean
  }[] = []
  turn = 0
  isOpen = false
  openUntil = 0
  failedProbes = 0
  badInARow = 0

  /** The probe that has the place. */
  probe() {
    return this.calls.findLast(({ call, turn }) => call.isProbe && turn === this.turn)
  }

  isPlaceTaken(): boolean {
    const probe = this.probe()
    return probe?.open === true && this.at < probe.at + LEASE_MS
  }

  lets(): "everybody" | "one" | "nobody" {
    if (!this.isOpen) return "everybody"
    return this.at < this.openUntil || this.isPlaceTaken() ? "nobody" : "one"
  }

  open(): void {
    this.turn++
    this.isOpen = true
    this.badInARow = 0
    this.openUntil = this.at + Math.min(OPEN_MS * 2 ** this.failedProbes, 120_000)
  }

  ended(index: number, how: CallEnding): void {
    const ended = this.calls[index]
    if (ended === undefined || !ended.open) return
    const hasPlace = this.probe() === ended
    ended.open = false
    if (how === "neither" || ended.turn !== this.turn) return
    if (!ended.call.isProbe) {
      this.badInARow = how === "badly" ? this.badInARow + 1 : 0
      if (this.badInARow === FAILURES) this.open()
    } else if (hasPlace && how === "badly") {
      this.failedProbes++
      this.open()
    } else if (hasPlace) {
      this.turn++
      this.isOpen = false
      this.failedProbes = 0
    }
  }
}

interface Real {
  readonly breaker: CircuitBreaker
  readonly waitFor: (ms: number) => void
  readonly changes: readonly BreakerChange[]
}

function command(name: string, run: (model: Model, real: Real) => void): fc.Command<Model, Real> {
  return {
    check: () => true,
    toString: () => name,
    run(model, real) {
      run(model, real)
      const expected = model.isOpen ? (model.at < model.openUntil ? ["open"] : ["half-open"]) : ["closed"]
      must(expected.includes(real.breaker.state()), `${real.breaker.state()}, not ${expected.join()}`)
      const live = model.calls.filter(
        ({ call, open, at, turn }) => call.isProbe && open && turn === model.turn && model.at < at + LEASE_MS,
      )
      must(live.length <= 1, `${live.length} probes at once`)
      for (const [index, { from }] of real.changes.entries()) {
        must(from === (real.changes[index - 1]?.to ?? "closed"), `change ${index} began as ${from}`)
      }
    },
  }
}

const entering = fc.constant(
  command("enter", (model, { breaker }) => {
    const lets = model.lets()
    const entry = breaker.enter()
    const got = !entry.allowed ? "nobody" : entry.call.isProbe ? "one" : "everybody"
    must(got === lets, `let in ${got}, not ${lets}`)
    if (entry.allowed) model.calls.push({ call: entry.call, turn: model.turn, at: model.at, open: true })
    else must(entry.until > model.at, "refused until now")
  }),
)

const ending = fc
  .tuple(fc.nat(20), fc.constantFrom<CallEnding>("well", "badly", "badly", "neither"))
  .map(([back, how]) =>
    command(`end the ${back} before last ${how}`, (model) => {
      const index = model.calls.length - 1 - back
      model.calls[index]?.call.ended(how)
      model.ended(index, how)
    }),
  )

const waiting = fc.constantFrom(1, OPEN_MS - 1, OPEN_MS, LEASE_MS - 1, LEASE_MS).map((ms) =>
  command(`wait ${ms}`, (model, { waitFor }) => {
    model.at += ms
    waitFor(ms)
  }),
)

it("does what its story says, in any order of calls, ends and waits", () => {
  fc.assert(
    fc.property(
      fc.commands([entering, entering, ending, ending, waiting], { maxCommands: 100, size: "max" }),
      (commands) => {
        const real = world({ failures: FAILURES })
        fc.modelRun(() => ({ model: new Model(), real }), commands)
      },
    ),
    { numRuns: 500 },
  )
})

it("never opens by calls that say nothing, whatever is counted", () => {
  const options = fc.constantFrom<BreakerOptions>(
    { failures: 1 },
    { window: { calls: 1, share: 0.1 } },
    { window: { ms: 1_000, share: 0.1, least: 1 } },
  )
  fc.assert(
    fc.property(options, fc.array(fc.constantFrom<CallEnding>("well", "neither")), (options, ends) => {
      const { breaker } = world(options)
      call(breaker, ...ends)
      must(breaker.state() === "closed", "it opened")
    }),
  )
})

const FIVE_BAD: readonly CallEnding[] = Array.from({ length: 5 }, () => "badly")

function world(options: BreakerOptions = {}, random: () => number = () => 0.5) {
  let at = START
  const now = () => at
  const breaker = circuitBreaker({ ...options, key: "light", now, random })
  const changes: BreakerChange[] = []
  breaker.onChange((change) => void changes.push(change))
  return {
    breaker,
    changes,
    now,
    waitFor: (ms: number) => {
      at += ms
    },
  }
}

function opened(options: BreakerOptions = {}, random?: () => number) {
  const made = world(options, random)
  call(made.breaker, ...FIVE_BAD)
  return made
}

function call(breaker: CircuitBreaker, ...ends: readonly CallEnding[]): void {
  for (const how of ends) admitted(breaker).ended(how)
}

function admitted(breaker: CircuitBreaker): BreakerCall {
  const entry: BreakerEntry = breaker.enter()
  if (!entry.allowed) throw new Error(`refused until ${entry.until}`)
  return entry.call
}
