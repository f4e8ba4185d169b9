import { DateTime, IANAZone } from "luxon"
import type { BudgetWindow } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"

/** One turn of a window: from its first moment to the first one after it, epoch ms. */
export interface Turn {
  readonly start: number
  /** `Infinity` for `total`. */
  readonly end: number
}

export const WINDOWS: readonly BudgetWindow[] = ["minute", "hour", "day", "week", "month", "total"]

const LENGTHS = { minute: 60_000, hour: 3_600_000 } as const

const FOR_EVER: Turn = { start: 0, end: Number.POSITIVE_INFINITY }

/**
 * The turn that `at` lies in, in the zone's own time: a day with a clock change has 23 or 25 hours, a week begins on
 * Monday (ISO 8601). Minutes and hours have always the same length; an hour that a clock change repeats counts twice.
 */
export function turnAt(window: BudgetWindow, at: number, timeZone: string): Turn {
  if (window === "total") return FOR_EVER
  if (window === "minute" || window === "hour") {
    const length = LENGTHS[window]
    const offset = IANAZone.create(timeZone).offset(at) * 60_000
    const start = Math.floor((at + offset) / length) * length - offset
    return { start, end: start + length }
  }
  const start = beginning(DateTime.fromMillis(at, { zone: timeZone }), window)
  const end = beginning(start.plus({ [window]: 1 }), window)
  return { start: start.toMillis(), end: end.toMillis() }
}

/** Where clocks are set back over midnight, a day has two of them, and begins with the first. */
function beginning(at: DateTime, window: "day" | "week" | "month"): DateTime {
  const start = at.startOf(window)
  const before = start.minus(1)
  return before.day === start.day ? before.startOf(window) : start
}

/** @throws ConfigError unless it is an IANA time zone such as `Europe/Berlin` or `UTC`. */
export function validTimeZone(timeZone: string, path: string): string {
  if (IANAZone.isValidZone(timeZone)) return timeZone
  throw new ConfigError(
    path,
    `"${timeZone}" is not a time zone`,
    'give an IANA name such as "Europe/Berlin" or "UTC"',
  )
}
