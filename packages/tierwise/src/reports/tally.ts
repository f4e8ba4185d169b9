import { ConfigError } from "../spec/errors.ts"
import type { RouteRecord } from "../spec/telemetry.ts"
import { type CheckedRecord, checkRecord, type SkippedRecord } from "./check-record.ts"

/** Records that were left out of a report, because a figure in them cannot be true or is not there. */
export interface SkippedRecords {
  readonly count: number
  /** The first ten of them. */
  readonly first: readonly SkippedRecord[]
}

/** A report, and what it could not take in. */
export type Reported<Report> = Report & { readonly skipped: SkippedRecords }

/** A report in the making: takes records one by one, in any order, and keeps sums instead of records, and for
 * quantiles one number of each. */
export interface Tally<Report> {
  add(record: RouteRecord): void
  report(): Report
}

const MOST_TOLD = 10

/** Reads all records into the tally. Unusable ones are skipped and counted: one broken line must not cost the report. */
export function tallied<Report extends object>(
  records: Iterable<RouteRecord> | AsyncIterable<RouteRecord>,
  tally: Tally<Report>,
): Reported<Report> | Promise<Reported<Report>> {
  const skips = skipList()
  const take = (checked: CheckedRecord): void => {
    if (checked.usable) tally.add(checked.record)
    else skips.add(checked.skipped)
  }
  return readRecords(records, take, () => ({ ...tally.report(), skipped: skips.list() }))
}

/**
 * Checks every record and hands it on. What comes at once is reported at once, what comes later is promised.
 * @throws ConfigError for what holds no records.
 */
export function readRecords<Report>(
  records: Iterable<RouteRecord> | AsyncIterable<RouteRecord>,
  take: (checked: CheckedRecord) => void,
  report: () => Report,
): Report | Promise<Report> {
  checkIterable(records)
  if (Symbol.asyncIterator in records) return readLater(records, take).then(report)
  for (const record of records) take(checkRecord(record))
  return report()
}

async function readLater(
  records: AsyncIterable<RouteRecord>,
  take: (checked: CheckedRecord) => void,
): Promise<void> {
  for await (const record of records) take(checkRecord(record))
}

function checkIterable(records: object): void {
  if (records instanceof Object && (Symbol.iterator in records || Symbol.asyncIterator in records)) return
  throw new ConfigError("records", "they are no list", "give an array, or anything else that can be iterated")
}

export interface SkipList {
  add(skipped: SkippedRecord): void
  list(): SkippedRecords
}

export function skipList(): SkipList {
  let count = 0
  const first: SkippedRecord[] = []
  return {
    add(skipped) {
      count += 1
      if (first.length < MOST_TOLD) first.push(skipped)
    },
    list: () => ({ count, first: [...first] }),
  }
}
