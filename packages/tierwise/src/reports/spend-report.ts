import { addMoney, type NanoUsd, nanoUsd, ZERO_USD } from "../spec/money.ts"
import type { RouteRecord } from "../spec/telemetry.ts"
import { calendar } from "./calendar.ts"
import { quantile } from "./quantile.ts"
import { type SentAttempt, scopeId, sentAttempts } from "./record-parts.ts"
import { percentOf, type ReportMoney, reportMoney } from "./report-money.ts"
import { type Reported, type Tally, tallied } from "./tally.ts"

/** `{ scope: "team" }` groups by the ids of any scope; `"tenant"` is short for `{ scope: "tenant" }`. */
export type SpendGrouping = "deployment" | "tier" | "taskType" | "tenant" | "day" | { readonly scope: string }

export interface SpendOptions {
  readonly by: SpendGrouping
  /** IANA zone in which days begin. Default UTC. */
  readonly timeZone?: string | undefined
}

/** What was spent, of which on what. Attempts, answers, tokens and money add up to the total in every grouping. */
export interface Spend {
  /** Requests that sent somebody something here. One that asked two deployments is in the rows of both. */
  readonly requests: number
  /** Answers that were returned. */
  readonly answers: number
  /** Tries that reached a provider: retries, failures and rejected answers too. */
  readonly attempts: number
  /** Of all attempts. */
  readonly inputTokens: number
  readonly outputTokens: number
  /** Of all attempts. */
  readonly cost: ReportMoney
  /** What one of its requests cost here. Quantiles by nearest rank; undefined without a request. */
  readonly costPerRequest: { readonly p50: ReportMoney; readonly p95: ReportMoney } | undefined
}

export interface SpendRow extends Spend {
  /** Deployment id, tier, task type (`(none)`: no type was named), tenant (`default`: none was named), `2026-02-09`. */
  readonly key: string
  /** Of the total cost, 0 … 100; undefined if nothing was spent. */
  readonly percent: number | undefined
}

/** Dearest row first; days in order. */
export interface SpendReport {
  readonly total: Spend
  readonly rows: readonly SpendRow[]
  /** Requests that reached nobody: refused by a budget, or nobody could take them. They are in no row. */
  readonly unsent: number
}

/** The key of requests that name no task type. */
export const NO_TASK_TYPE = "(none)"

/**
 * What was spent by model, tier, task type, tenant or day. Requests that overlap midnight belong to the day they began.
 * @throws ConfigError for an unknown time zone, or if the total is beyond nine million dollars.
 */
export function spendReport(records: Iterable<RouteRecord>, options: SpendOptions): Reported<SpendReport>
export function spendReport(
  records: AsyncIterable<RouteRecord>,
  options: SpendOptions,
): Promise<Reported<SpendReport>>
export function spendReport(
  records: Iterable<RouteRecord> | AsyncIterable<RouteRecord>,
  options: SpendOptions,
): Reported<SpendReport> | Promise<Reported<SpendReport>> {
  return tallied(records, spendTally(options))
}

export function spendTally({ by, timeZone = "UTC" }: SpendOptions): Tally<SpendReport> {
  const keyOf = keyFor(by, timeZone)
  const total = openSpend()
  const rows = new Map<string, OpenSpend>()
  let unsent = 0
  return {
    add(record) {
      const sent = sentAttempts(record)
      if (sent.length === 0) {
        unsent += 1
        return
      }
      addTo(total, sent, record)
      for (const [key, attempts] of Map.groupBy(sent, (attempt) => keyOf(record, attempt))) {
        const row = rows.get(key) ?? openSpend()
        rows.set(key, row)
        addTo(row, attempts, record)
      }
    },
    report: () => ({
      total: closed(total),
      rows: [...rows]
        .map(([key, row]) => ({ key, ...closed(row), percent: percentOf(row.cost, total.cost) }))
        .sort((a, b) => (by === "day" ? 0 : b.cost.nanoUsd - a.cost.nanoUsd) || (a.key < b.key ? -1 : 1)),
      unsent,
    }),
  }
}

type KeyOf = (record: RouteRecord, attempt: SentAttempt) => string

function keyFor(by: SpendGrouping, timeZone: string): KeyOf {
  if (typeof by === "object") return (record) => scopeId(record, by.scope)
  const dayOf = calendar("day", timeZone)
  const keys: Readonly<Record<typeof by, KeyOf>> = {
    deployment: (_, { deploymentId }) => deploymentId,
    tier: (_, { tier }) => tier,
    taskType: ({ taskType }) => taskType ?? NO_TASK_TYPE,
    tenant: (record) => scopeId(record, "tenant"),
    day: ({ at }) => dayOf(at).name,
  }
  return keys[by]
}

interface OpenSpend {
  answers: number
  attempts: number
  inputTokens: number
  outputTokens: number
  cost: NanoUsd
  /** One for each request. */
  readonly costs: number[]
}

function openSpend(): OpenSpend {
  return { answers: 0, attempts: 0, inputTokens: 0, outputTokens: 0, cost: ZERO_USD, costs: [] }
}

function addTo(open: OpenSpend, attempts: readonly SentAttempt[], { answeredBy }: RouteRecord): void {
  let cost = ZERO_USD
  for (const attempt of attempts) {
    cost = addMoney(cost, attempt.cost)
    open.inputTokens += attempt.usage?.inputTokens ?? 0
    open.outputTokens += attempt.usage?.outputTokens ?? 0
  }
  open.attempts += attempts.length
  open.cost = addMoney(open.cost, cost)
  open.costs.push(cost)
  if (attempts.some(({ deploymentId }) => deploymentId === answeredBy?.deploymentId)) open.answers += 1
}

function closed({ costs, cost, ...counts }: OpenSpend): Spend {
  const sorted = costs.toSorted((a, b) => a - b)
  const at = (share: number) => reportMoney(nanoUsd(quantile(sorted, share) ?? 0))
  return {
    requests: costs.length,
    ...counts,
    cost: reportMoney(cost),
    costPerRequest: costs.length === 0 ? undefined : { p50: at(0.5), p95: at(0.95) },
  }
}
