import { DateTime, IANAZone } from "luxon"
import type { BudgetWindow } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"

/**
 * When the calendar day or month that `at` lies in is over, epoch ms, in the zone's own time: a day with a clock change
 * has 23 or 25 hours. Undefined for `total`, which never ends.
 */
export function endOfWindow(window: BudgetWindow, at: number, timeZone: string): number | undefined {
  if (window === "total") return undefined
  const start = DateTime.fromMillis(at, { zone: timeZone }).startOf(window)
  return start
    .plus({ [window]: 1 })
    .startOf(window)
    .toMillis()
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
