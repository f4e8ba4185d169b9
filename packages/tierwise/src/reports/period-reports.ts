import type { RouteRecord } from "../spec/telemetry.ts"
import { calendar, type Period } from "./calendar.ts"
import type { CheckedRecord } from "./check-record.ts"
import { suggestionTally } from "./cost-suggestions.ts"
import { type ModelMix, mixOf, rungTally } from "./model-mix.ts"
import { percentOf, type ReportMoney, reportMoney } from "./report-money.ts"
import { type SavingsReport, savingsTally } from "./savings-report.ts"
import { type Spend, type SpendGrouping, type SpendRow, spendTally } from "./spend-report.ts"
import type { Suggestion } from "./suggestion.ts"
import { type SuggestionThresholds, suggestionThresholds } from "./suggestion-thresholds.ts"
import { readRecords, type SkippedRecords, skipList, type Tally } from "./tally.ts"

export interface PeriodOptions {
  /** IANA zone in which days, weeks and months begin. Default UTC. */
  readonly timeZone?: string | undefined
  /** When a suggestion is made. Default `DEFAULT_SUGGESTION_THRESHOLDS`. */
  readonly thresholds?: Partial<SuggestionThresholds> | undefined
  /** Epoch ms. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

/** One week or month in figures. Plain JSON. */
export interface PeriodReport extends Period {
  readonly unit: "week" | "month"
  readonly timeZone: string
  /** False while it lasts: its figures will still grow, and its change says little. */
  readonly complete: boolean
  readonly spend: {
    readonly total: Spend
    /** Requests that reached nobody. */
    readonly unsent: number
    readonly byTier: readonly SpendRow[]
    readonly byDeployment: readonly SpendRow[]
    readonly byTaskType: readonly SpendRow[]
    readonly byTenant: readonly SpendRow[]
    readonly byDay: readonly SpendRow[]
  }
  readonly savings: SavingsReport
  readonly mix: ModelMix
  readonly suggestions: readonly Suggestion[]
  /** Against the calendar period just before; undefined for the first one, whose past is not known. */
  readonly change: PeriodChange | undefined
  readonly skipped: SkippedRecords
}

export interface PeriodChange {
  readonly requests: CountChange
  readonly answers: CountChange
  /** Input plus output, of all attempts. */
  readonly tokens: CountChange
  readonly cost: {
    readonly before: ReportMoney
    readonly difference: ReportMoney
    /** Of before; undefined if nothing was spent. */
    readonly percent: number | undefined
  }
  /** Against always-heavy, before: compare it with the period's own. Undefined if there was nothing to compare. */
  readonly savedPercentBefore: number | undefined
}

export interface CountChange {
  readonly before: number
  readonly difference: number
  /** Of before; undefined if it was 0. */
  readonly percent: number | undefined
}

export interface PeriodReports {
  /** Oldest first. A period without any record has none. */
  readonly periods: readonly PeriodReport[]
  /** Records that cannot be used, and do not even say when they are from. */
  readonly undated: SkippedRecords
}

/**
 * A report for every ISO week (Monday to Sunday) of the records (row C8).
 * @throws ConfigError for an unknown time zone or threshold, or if a sum is beyond nine million dollars.
 */
export function weeklyReport(records: Iterable<RouteRecord>, options?: PeriodOptions): PeriodReports
export function weeklyReport(
  records: AsyncIterable<RouteRecord>,
  options?: PeriodOptions,
): Promise<PeriodReports>
export function weeklyReport(
  records: Iterable<RouteRecord> | AsyncIterable<RouteRecord>,
  options: PeriodOptions = {},
): PeriodReports | Promise<PeriodReports> {
  return periodReports(records, "week", options)
}

/** The same for every calendar month. */
export function monthlyReport(records: Iterable<RouteRecord>, options?: PeriodOptions): PeriodReports
export function monthlyReport(
  records: AsyncIterable<RouteRecord>,
  options?: PeriodOptions,
): Promise<PeriodReports>
export function monthlyReport(
  records: Iterable<RouteRecord> | AsyncIterable<RouteRecord>,
  options: PeriodOptions = {},
): PeriodReports | Promise<PeriodReports> {
  return periodReports(records, "month", options)
}

function periodReports(
  records: Iterable<RouteRecord> | AsyncIterable<RouteRecord>,
  unit: "week" | "month",
  options: PeriodOptions,
): PeriodReports | Promise<PeriodReports> {
  const { timeZone = "UTC", now = Date.now } = options
  const thresholds = suggestionThresholds(options.thresholds)
  const periodOf = calendar(unit, timeZone)
  const open = new Map<number, OpenPeriod>()
  const undated = skipList()

  function periodFor(at: number): OpenPeriod {
    const period = periodOf(at)
    const known = open.get(period.startsAt) ?? openPeriod(period, timeZone, thresholds)
    open.set(period.startsAt, known)
    return known
  }

  function take(checked: CheckedRecord): void {
    if (checked.usable) periodFor(checked.record.at).add(checked.record)
    else if (checked.skipped.at === undefined) undated.add(checked.skipped)
    else periodFor(checked.skipped.at).skips.add(checked.skipped)
  }

  function reports(): PeriodReports {
    const at = now()
    const sorted = [...open.values()].sort((a, b) => a.period.startsAt - b.period.startsAt)
    const closed = sorted.map((one) => ({
      unit,
      timeZone,
      complete: one.period.endsAt <= at,
      ...one.report(),
    }))
    const periods = closed.map((one, index) => ({ ...one, change: changeOf(one, closed[index - 1]) }))
    return { periods, undated: undated.list() }
  }

  return readRecords(records, take, reports)
}

type ClosedPeriod = Omit<PeriodReport, "unit" | "timeZone" | "complete" | "change">

interface OpenPeriod extends Tally<ClosedPeriod> {
  readonly period: Period
  readonly skips: ReturnType<typeof skipList>
}

function openPeriod(period: Period, timeZone: string, thresholds: SuggestionThresholds): OpenPeriod {
  const spendBy = (by: SpendGrouping) => spendTally({ by, timeZone })
  const byTier = spendBy("tier")
  const byDeployment = spendBy("deployment")
  const byTaskType = spendBy("taskType")
  const byTenant = spendBy("tenant")
  const byDay = spendBy("day")
  const savings = savingsTally()
  const rungs = rungTally()
  const suggestions = suggestionTally(thresholds)
  const tallies = [byTier, byDeployment, byTaskType, byTenant, byDay, savings, rungs, suggestions]
  const skips = skipList()
  return {
    period,
    skips,
    add(record) {
      for (const tally of tallies) tally.add(record)
    },
    report() {
      const ofTiers = byTier.report()
      const ofDeployments = byDeployment.report()
      const saved = savings.report()
      const { total, unsent } = ofTiers
      return {
        ...period,
        spend: {
          total,
          unsent,
          byTier: ofTiers.rows,
          byDeployment: ofDeployments.rows,
          byTaskType: byTaskType.report().rows,
          byTenant: byTenant.report().rows,
          byDay: byDay.report().rows,
        },
        savings: saved,
        mix: mixOf({ byTier: ofTiers, byDeployment: ofDeployments, savings: saved, rungs: rungs.report() }),
        suggestions: suggestions.report().suggestions,
        skipped: skips.list(),
      }
    },
  }
}

/** A gap between two reports was a period in which nothing happened. */
function changeOf(present: ClosedPeriod, earlier: ClosedPeriod | undefined): PeriodChange | undefined {
  if (earlier === undefined) return undefined
  const before = earlier.endsAt === present.startsAt ? earlier : undefined
  const count = (of: (spend: Spend) => number): CountChange => {
    const [now, then] = [of(present.spend.total), before === undefined ? 0 : of(before.spend.total)]
    return { before: then, difference: now - then, percent: percentOf(now - then, then) }
  }
  const cost = count((spend) => spend.cost.nanoUsd)
  return {
    requests: count((spend) => spend.requests),
    answers: count((spend) => spend.answers),
    tokens: count((spend) => spend.inputTokens + spend.outputTokens),
    cost: {
      before: reportMoney(cost.before),
      difference: reportMoney(cost.difference),
      percent: cost.percent,
    },
    savedPercentBefore: before?.savings.total.alwaysHeavy.savedPercent,
  }
}
