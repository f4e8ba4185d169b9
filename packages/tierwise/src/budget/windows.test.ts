import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { BudgetWindow } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { turnAt, validTimeZone, WINDOWS } from "./windows.ts"

/** Start and end as ISO texts, without the milliseconds. */
function turn(window: BudgetWindow, at: string, timeZone: string): readonly string[] {
  const { start, end } = turnAt(window, Date.parse(at), timeZone)
  return [start, end].map((ms) => new Date(ms).toISOString().replace(".000", ""))
}

const HOUR_MS = 3_600_000

describe("turnAt", () => {
  it.each<[string, BudgetWindow, string, string, string, string]>([
    ["a minute", "minute", "UTC", "2026-01-15T12:34:56.789Z", "2026-01-15T12:34:00Z", "2026-01-15T12:35:00Z"],
    ["an hour", "hour", "UTC", "2026-01-15T12:34:56Z", "2026-01-15T12:00:00Z", "2026-01-15T13:00:00Z"],
    ["a day", "day", "UTC", "2026-01-15T12:00:00Z", "2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z"],
    ["a week", "week", "UTC", "2026-01-15T12:00:00Z", "2026-01-12T00:00:00Z", "2026-01-19T00:00:00Z"],
    ["a Sunday", "week", "UTC", "2026-01-18T23:59:59Z", "2026-01-12T00:00:00Z", "2026-01-19T00:00:00Z"],
    ["a Monday", "week", "UTC", "2026-01-19T00:00:00Z", "2026-01-19T00:00:00Z", "2026-01-26T00:00:00Z"],
    [
      "a week of two years",
      "week",
      "UTC",
      "2027-01-01T12:00:00Z",
      "2026-12-28T00:00:00Z",
      "2027-01-04T00:00:00Z",
    ],
    [
      "a leap February",
      "month",
      "UTC",
      "2028-02-29T12:00:00Z",
      "2028-02-01T00:00:00Z",
      "2028-03-01T00:00:00Z",
    ],
    ["a December", "month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"],
    [
      "the first moment",
      "day",
      "UTC",
      "2026-01-15T00:00:00Z",
      "2026-01-15T00:00:00Z",
      "2026-01-16T00:00:00Z",
    ],
    [
      "Tokyo's day",
      "day",
      "Asia/Tokyo",
      "2026-01-15T15:00:00Z",
      "2026-01-15T15:00:00Z",
      "2026-01-16T15:00:00Z",
    ],
    [
      "half an hour",
      "hour",
      "Asia/Kolkata",
      "2026-01-15T12:15:00Z",
      "2026-01-15T11:30:00Z",
      "2026-01-15T12:30:00Z",
    ],
    [
      "a quarter",
      "day",
      "Asia/Kathmandu",
      "2026-01-15T12:00:00Z",
      "2026-01-14T18:15:00Z",
      "2026-01-15T18:15:00Z",
    ],
    [
      "23 hours",
      "day",
      "Europe/Berlin",
      "2026-03-29T12:00:00Z",
      "2026-03-28T23:00:00Z",
      "2026-03-29T22:00:00Z",
    ],
    [
      "25 hours",
      "day",
      "Europe/Berlin",
      "2026-10-25T12:00:00Z",
      "2026-10-24T22:00:00Z",
      "2026-10-25T23:00:00Z",
    ],
    [
      "24.5 hours",
      "day",
      "Australia/Lord_Howe",
      "2026-04-05T12:00:00Z",
      "2026-04-04T13:00:00Z",
      "2026-04-05T13:30:00Z",
    ],
    [
      "a short month",
      "month",
      "Europe/Berlin",
      "2026-03-15T12:00:00Z",
      "2026-02-28T23:00:00Z",
      "2026-03-31T22:00:00Z",
    ],
    // The repeated hour from 02:00 to 03:00, once in summer and once in winter time.
    [
      "an hour",
      "hour",
      "Europe/Berlin",
      "2026-10-25T00:30:00Z",
      "2026-10-25T00:00:00Z",
      "2026-10-25T01:00:00Z",
    ],
    [
      "its repetition",
      "hour",
      "Europe/Berlin",
      "2026-10-25T01:30:00Z",
      "2026-10-25T01:00:00Z",
      "2026-10-25T02:00:00Z",
    ],
    // Beirut sets its clocks ahead at midnight: the day begins at one o'clock.
    [
      "no midnight",
      "day",
      "Asia/Beirut",
      "2026-03-29T09:00:00Z",
      "2026-03-28T22:00:00Z",
      "2026-03-29T21:00:00Z",
    ],
    // The Azores set theirs back at one o'clock to midnight, which comes twice.
    [
      "two midnights",
      "day",
      "Atlantic/Azores",
      "2026-10-25T12:00:00Z",
      "2026-10-25T00:00:00Z",
      "2026-10-26T01:00:00Z",
    ],
    [
      "the first",
      "day",
      "Atlantic/Azores",
      "2026-10-25T00:30:00Z",
      "2026-10-25T00:00:00Z",
      "2026-10-26T01:00:00Z",
    ],
    [
      "the day before",
      "day",
      "Atlantic/Azores",
      "2026-10-24T12:00:00Z",
      "2026-10-24T00:00:00Z",
      "2026-10-25T00:00:00Z",
    ],
    [
      "two in a month",
      "month",
      "America/Havana",
      "2026-11-20T00:00:00Z",
      "2026-11-01T04:00:00Z",
      "2026-12-01T05:00:00Z",
    ],
  ])("turns at %s (%s, %s)", (_, window, timeZone, at, start, end) => {
    expect(turn(window, at, timeZone)).toEqual([start, end])
  })

  it("never ends in a total window", () => {
    expect(turnAt("total", Date.now(), "UTC")).toEqual({ start: 0, end: Number.POSITIVE_INFINITY })
  })

  it("gives every moment of a day, week or month the same turn, and the next one begins where it ends", () => {
    const zones = [
      "UTC",
      "Europe/Berlin",
      "America/New_York",
      "Atlantic/Azores",
      "Asia/Beirut",
      "America/Havana",
    ]
    const moment = fc.integer({ min: Date.UTC(2024, 0, 1), max: Date.UTC(2028, 0, 1) })
    const window = fc.constantFrom<BudgetWindow>("day", "week", "month")
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        window,
        moment,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (zone, window, at, share) => {
          const { start, end } = turnAt(window, at, zone)
          expect(at).toBeGreaterThanOrEqual(start)
          expect(at).toBeLessThan(end)
          const other = Math.min(end - 1, start + Math.floor((end - start) * share))
          expect(turnAt(window, other, zone)).toEqual({ start, end })
          expect(turnAt(window, end, zone).start).toBe(end)
          expect(turnAt(window, start - 1, zone).end).toBe(start)
        },
      ),
      { numRuns: 300 },
    )
  })

  it("lets no hour be longer than an hour", () => {
    for (const window of ["minute", "hour"] as const) {
      // Half an hour is set ahead and back on Lord Howe Island.
      for (let at = Date.UTC(2026, 3, 4); at < Date.UTC(2026, 3, 6); at += HOUR_MS / 7) {
        const { start, end } = turnAt(window, at, "Australia/Lord_Howe")
        expect(end - start).toBe(window === "hour" ? HOUR_MS : 60_000)
        expect(at >= start && at < end).toBe(true)
      }
    }
  })
})

describe("validTimeZone", () => {
  it.each(["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"])("takes %s", (zone) => {
    expect(validTimeZone(zone, "budget.timeZone")).toBe(zone)
  })

  it.each(["Mars/Base", "", "local"])("refuses %j, naming the path", (zone) => {
    const refused = expect.objectContaining({ constructor: ConfigError, path: "budget.timeZone" })
    expect(() => validTimeZone(zone, "budget.timeZone")).toThrow(refused)
  })
})

it("knows a turn for every window", () => {
  for (const window of WINDOWS) expect(turnAt(window, 0, "UTC").start).toBeLessThanOrEqual(0)
})
