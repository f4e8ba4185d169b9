import { DateTime } from "luxon"
import type { BudgetStatus } from "../spec/budget.ts"
import { ConfigError } from "../spec/errors.ts"
import { type NanoUsd, nanoToUsd, nanoUsd } from "../spec/money.ts"
import type { RouteRecord } from "../spec/telemetry.ts"
import { checkMoment, checkTimeZone } from "./calendar.ts"
import { scopeId, sentAttempts } from "./record-parts.ts"
import { type Reported, type SkippedRecords, type Tally, tallied } from "./tally.ts"

/** Where one limit stands, and where it will be at the end of its window. */
export interface BudgetReport
  extends Pick<
    BudgetStatus,
    "scope" | "window" | "unit" | "limit" | "spent" | "held" | "remaining" | "startedAt" | "resetsAt"
  > {
  /** 100 × spent ÷ limit. Above 100 if a call cost more than was held for it. */
  readonly percentUsed: number
  /** Requests under this limit in the present window that reached a provider. Undefined if no records were given. */
  readonly requests: number | undefined
  /** Undefined for a window without an end, and in the first 3 % of one, which tell nothing about the rest. */
  readonly projected: BudgetProjection | undefined
  /** Records that could not be counted. */
  readonly skipped: SkippedRecords
}

/** At the pace of the window so far. */
export interface BudgetProjection {
  /** At the end of the window, in the limit's unit; it may be above the limit, which the budget will not let happen. */
  readonly spent: number
  readonly percentUsed: number
  /** When the limit is reached, epoch ms; undefined if it is not in this window. `at` or earlier if it has been. */
  readonly exhaustedAt: number | undefined
}

/** The JSON of row C6: one month of one dollar budget. Money in US dollars, for people. */
export interface MonthlyBudget {
  readonly year: number
  /** 1 … 12. */
  readonly month: number
  readonly monthly_limit: number
  readonly total_spent: number
  /** Limit − spent − what is held for calls at this moment; never negative. */
  readonly remaining: number
  /** 100 × spent ÷ limit. */
  readonly percentage_used: number
  readonly request_count: number
}

/** About a day of a month. */
const MIN_ELAPSED_SHARE = 0.03

/**
 * @param status Of one limit, from the budget's `status(scopes)`.
 * @param at The present moment, epoch ms.
 * @param records Of at least the present window; those before it and of other scopes are left out.
 * @throws ConfigError unless `at` is a moment from 1970 to 9999.
 */
export function budgetReport(
  status: BudgetStatus,
  at: number,
  records?: Iterable<RouteRecord>,
): BudgetReport {
  checkMoment(at, "at")
  const { scope, window, unit, limit, spent, held, remaining, startedAt, resetsAt } = status
  const counted =
    records === undefined
      ? undefined
      : (tallied(records, requestTally(status)) as Reported<{ count: number }>)
  return {
    scope,
    window,
    unit,
    limit,
    spent,
    held,
    remaining,
    startedAt,
    resetsAt,
    percentUsed: (100 * spent) / limit,
    requests: counted?.count,
    projected: projection(status, at),
    skipped: counted?.skipped ?? { count: 0, first: [] },
  }
}

/**
 * Row C6's `GET /api/budget` for a monthly limit in dollars.
 * @param timeZone The budget's own, in which its months begin. Default UTC.
 * @throws ConfigError for another window or unit, or a zone in which the window does not begin on the first of a month.
 */
export function monthlyBudget(
  status: BudgetStatus,
  records: Iterable<RouteRecord>,
  timeZone: string = "UTC",
): MonthlyBudget {
  checkTimeZone(timeZone)
  const { window, unit, startedAt } = status
  if (window !== "month" || unit !== "NanoUsd" || startedAt === undefined) {
    const fix = 'give the status of a limit with window "month" and usd'
    throw new ConfigError("status", `${status.scope} has a ${window} limit in ${unit}`, fix)
  }
  const start = DateTime.fromMillis(startedAt, { zone: timeZone })
  if (start.toMillis() !== start.startOf("month").toMillis()) {
    throw new ConfigError(
      "timeZone",
      `no month begins then in ${timeZone}`,
      "give the budget's own time zone",
    )
  }
  const report = budgetReport(status, startedAt, records)
  const usd = (nano: number) => nanoToUsd(nanoUsd(nano) satisfies NanoUsd)
  return {
    year: start.year,
    month: start.month,
    monthly_limit: usd(report.limit),
    total_spent: usd(report.spent),
    remaining: usd(report.remaining),
    percentage_used: report.percentUsed,
    request_count: report.requests ?? 0,
  }
}

function requestTally({ scope, startedAt, resetsAt }: BudgetStatus): Tally<{ count: number }> {
  const [name = "", ...rest] = scope.split(":")
  const id = rest.join(":")
  let count = 0
  return {
    add(record) {
      const inWindow =
        record.at >= (startedAt ?? Number.NEGATIVE_INFINITY) &&
        record.at < (resetsAt ?? Number.POSITIVE_INFINITY)
      const inScope = name === "global" || scopeId(record, name) === id
      if (inWindow && inScope && sentAttempts(record).length > 0) count += 1
    },
    report: () => ({ count }),
  }
}

function projection(
  { spent, limit, startedAt, resetsAt }: BudgetStatus,
  at: number,
): BudgetProjection | undefined {
  if (startedAt === undefined || resetsAt === undefined) return undefined
  const elapsed = Math.min(at, resetsAt) - startedAt
  const length = resetsAt - startedAt
  if (elapsed < length * MIN_ELAPSED_SHARE) return undefined
  const expected = Math.round(spent * (length / elapsed))
  const exhaustedAt = spent === 0 ? Number.POSITIVE_INFINITY : startedAt + elapsed * (limit / spent)
  return {
    spent: expected,
    percentUsed: (100 * expected) / limit,
    exhaustedAt: exhaustedAt < resetsAt ? Math.round(exhaustedAt) : undefined,
  }
}
