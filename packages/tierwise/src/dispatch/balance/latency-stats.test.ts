import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConfigError } from "../../spec/errors.ts"
import { type LatencyStatsOptions, latencyStats } from "./latency-stats.ts"

const DECAY_MS = 60_000

function world(options: Partial<LatencyStatsOptions> = {}) {
  const clock = { at: 1_000_000 }
  const stats = latencyStats({ now: () => clock.at, ...options })
  return Object.assign(clock, stats, { latency: () => stats.of("a").ewmaLatencyMs })
}

describe("latencyStats", () => {
  it("counts the calls that run, and ends each once", () => {
    const stats = world()
    expect(stats.of("a")).toEqual({ inFlight: 0, ewmaLatencyMs: undefined })
    const first = stats.began("a")
    stats.began("a")
    expect(stats.of("a").inFlight).toBe(2)
    first.ended(100)
    first.ended(900)
    first.failed(900)
    expect(stats.of("a")).toEqual({ inFlight: 1, ewmaLatencyMs: 100 })
    expect(stats.of("b").inFlight).toBe(0)
  })

  it("rises to a slow answer at once and falls slowly", () => {
    const stats = world()
    stats.began("a").ended(100)
    stats.began("a").ended(5_000)
    expect(stats.latency()).toBe(5_000)
    stats.at += DECAY_MS / 10
    stats.began("a").ended(100)
    const weight = Math.exp(-0.1)
    expect(stats.latency()).toBeCloseTo(5_000 * weight + 100 * (1 - weight))
  })

  it("falls while nobody is asked, and is forgotten after three times the decay", () => {
    const stats = world()
    stats.began("a").ended(8_000)
    stats.at += DECAY_MS
    expect(stats.latency()).toBeCloseTo(8_000 / Math.E)
    stats.at += 2 * DECAY_MS - 1
    expect(stats.latency()).toBeCloseTo(8_000 / Math.E ** 3, 0)
    stats.at += 2
    expect(stats.latency()).toBeUndefined()
    stats.began("a").ended(300)
    expect(stats.latency()).toBe(300)
  })

  it("takes a failure as slow, however soon it came", () => {
    const stats = world({ failureMs: 10_000 })
    stats.began("a").failed(3)
    expect(stats.latency()).toBe(10_000)
    stats.began("a").failed(20_000)
    expect(stats.latency()).toBe(20_000)
    stats.began("b").failed(Number.NaN)
    expect(stats.of("b").ewmaLatencyMs).toBe(10_000)
  })

  it("learns nothing from a call that nobody waited for", () => {
    const stats = world()
    for (const ms of [undefined, Number.NaN, -1, Infinity]) stats.began("a").ended(ms)
    expect(stats.of("a")).toEqual({ inFlight: 0, ewmaLatencyMs: undefined })
  })

  it("stands still when the clock goes back", () => {
    const stats = world()
    stats.began("a").ended(500)
    stats.at -= 3_600_000
    expect(stats.latency()).toBe(500)
    stats.began("a").ended(200)
    expect(stats.latency()).toBe(500)
    stats.at += 3_600_000 + DECAY_MS
    expect(stats.latency()).toBeCloseTo(500 / Math.E)
  })

  it("stays between 1 ms and the slowest answer, and at or above the last one at its time", () => {
    const answer = fc.tuple(fc.nat(100_000), fc.nat(60_000))
    fc.assert(
      fc.property(fc.array(answer, { minLength: 1, maxLength: 30 }), (answers) => {
        const stats = world()
        for (const [waitMs, ms] of answers) {
          stats.at += waitMs
          stats.began("a").ended(ms)
          expect(stats.latency()).toBeGreaterThanOrEqual(Math.max(1, ms) - 1e-6)
        }
        const slowest = Math.max(1, ...answers.map(([, ms]) => ms))
        expect(stats.latency()).toBeLessThanOrEqual(slowest + 1e-6)
      }),
    )
  })

  it("refuses times that are not above 0, and names the field", () => {
    for (const bad of [0, -1, Number.NaN, Infinity]) {
      expect(() => world({ decayMs: bad })).toThrow(/^decayMs/)
      expect(() => world({ failureMs: bad })).toThrow(/^failureMs/)
      expect(() => world({ decayMs: bad })).toThrow(ConfigError)
    }
  })
})
