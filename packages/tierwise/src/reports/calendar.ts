import { DateTime, IANAZone } from "luxon"
import { ConfigError } from "../spec/errors.ts"

export type CalendarUnit = "day" | "week" | "month"

/** One day, ISO week or month of a calendar. */
export interface Period {
  /** `2026-02-09`, `2026-W07`, `2026-02`. */
  readonly name: string
  /** Epoch ms, the first one in it and the first one after it. */
  readonly startsAt: number
  readonly endsAt: number
}

const NAMES: Readonly<Record<CalendarUnit, string>> = {
  day: "yyyy-LL-dd",
  week: "kkkk-'W'WW",
  month: "yyyy-LL",
}

/** What reports have names for, in any time zone: from 1970 until the last days of 9999. Epoch ms. */
export const FIRST_EPOCH_MS = 0
export const LAST_EPOCH_MS: number = Date.parse("9999-12-01T00:00:00Z")

/** @throws ConfigError unless it is an IANA time zone such as `Europe/Berlin`. */
export function calendar(unit: CalendarUnit, timeZone: string): (at: number) => Period {
  checkTimeZone(timeZone)
  let last: Period | undefined
  return (at) => {
    // Records come more or less in order, and a calendar is slow to ask.
    if (last === undefined || at < last.startsAt || at >= last.endsAt) last = periodAt(unit, timeZone, at)
    return last
  }
}

export function checkTimeZone(timeZone: string): void {
  if (IANAZone.isValidZone(timeZone)) return
  const fix = 'give an IANA name such as "Europe/Berlin" or "UTC"'
  throw new ConfigError("timeZone", `"${timeZone}" is not a time zone`, fix)
}

/** @throws ConfigError for a moment that no report has a name for. */
export function checkMoment(at: number, path: string): void {
  if (at >= FIRST_EPOCH_MS && at <= LAST_EPOCH_MS) return
  const fix = "give epoch ms from 1970 to 9999, e.g. Date.now()"
  throw new ConfigError(path, `${at} is not a moment`, fix)
}

/** In the zone's own time: a day with a clock change has 23 or 25 hours. */
function periodAt(unit: CalendarUnit, timeZone: string, at: number): Period {
  const start = DateTime.fromMillis(at, { zone: timeZone, locale: "en" }).startOf(unit)
  const end = start.plus({ [unit]: 1 }).startOf(unit)
  return { name: start.toFormat(NAMES[unit]), startsAt: start.toMillis(), endsAt: end.toMillis() }
}
