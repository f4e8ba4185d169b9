import { DateTime, IANAZone } from "luxon"
import type { BudgetWindow } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"

/** One turn of a window: `[start, end)` in epoch ms. A `total` window has no end. */
export interface WindowSpan {
  readonly start: number
  readonly end: number | undefined
}

/**
 * The calendar day or month that `at` lies in, in the zone's own time: a day with a clock change has 23 or 25 hours.
 */
export function spanOf(window: BudgetWindow, at: number, timeZone: string): WindowSpan {
  if (window === "total") return { start: 0, end: undefined }
  const start = DateTime.fromMillis(at, { zone: timeZone }).startOf(window)
  return {
    start: start.toMillis(),
    end: start
      .plus({ [window]: 1 })
      .startOf(window)
      .toMillis(),
  }
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
