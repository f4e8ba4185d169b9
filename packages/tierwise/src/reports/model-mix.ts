import type { RouteRecord } from "../spec/telemetry.ts"
import { tierCostsOf } from "./record-parts.ts"
import { percentOf, type ReportMoney } from "./report-money.ts"
import { type Comparison, type SavingsReport, savingsTally } from "./savings-report.ts"
import { type SpendReport, type SpendRow, spendTally } from "./spend-report.ts"
import { type Reported, type Tally, tallied } from "./tally.ts"

export interface MixRow {
  /** Tier or deployment id. */
  readonly key: string
  /** Returned answers it gave. */
  readonly answers: number
  /** Of all returned answers, 0 … 100; undefined if there is none. */
  readonly answerPercent: number | undefined
  /** Of all its attempts, also those whose answer was not returned. */
  readonly cost: ReportMoney
  /** Of all that was spent, 0 … 100; undefined if nothing was. */
  readonly costPercent: number | undefined
}

/** Who answers how much, and what that saves (row B2). */
export interface ModelMix {
  readonly answers: number
  readonly cost: ReportMoney
  /** Cheapest tier first. */
  readonly tiers: readonly MixRow[]
  /** Most answers first. */
  readonly deployments: readonly MixRow[]
  /** Against the top tier answering everything. */
  readonly againstAlwaysLarge: Comparison
}

/**
 * The share of every tier and deployment in the answers and in the bill, from real records.
 * @throws ConfigError if a sum is beyond nine million dollars.
 */
export function modelMix(records: Iterable<RouteRecord>): Reported<ModelMix>
export function modelMix(records: AsyncIterable<RouteRecord>): Promise<Reported<ModelMix>>
export function modelMix(
  records: Iterable<RouteRecord> | AsyncIterable<RouteRecord>,
): Reported<ModelMix> | Promise<Reported<ModelMix>> {
  return tallied(records, modelMixTally())
}

export function modelMixTally(): Tally<ModelMix> {
  const byTier = spendTally({ by: "tier" })
  const byDeployment = spendTally({ by: "deployment" })
  const savings = savingsTally()
  const rungs = rungTally()
  return {
    add(record) {
      for (const tally of [byTier, byDeployment, savings, rungs]) tally.add(record)
    },
    report: () =>
      mixOf({
        byTier: byTier.report(),
        byDeployment: byDeployment.report(),
        savings: savings.report(),
        rungs: rungs.report(),
      }),
  }
}

/** Which rung of the ladder each tier is, 0 the cheapest. */
export function rungTally(): Tally<ReadonlyMap<string, number>> {
  const rungs = new Map<string, number>()
  return {
    add(record) {
      for (const [rung, { tier }] of tierCostsOf(record).entries()) rungs.set(tier, rung)
    },
    report: () => rungs,
  }
}

/** The mix that other reports of the same records tell of. */
export function mixOf({
  byTier,
  byDeployment,
  savings,
  rungs,
}: {
  readonly byTier: SpendReport
  readonly byDeployment: SpendReport
  readonly savings: SavingsReport
  readonly rungs: ReadonlyMap<string, number>
}): ModelMix {
  const rungOf = ({ key }: MixRow) => rungs.get(key) ?? rungs.size
  return {
    answers: byTier.total.answers,
    cost: byTier.total.cost,
    tiers: mixRows(byTier).sort((a, b) => rungOf(a) - rungOf(b)),
    deployments: mixRows(byDeployment).sort((a, b) => b.answers - a.answers),
    againstAlwaysLarge: savings.total.alwaysHeavy,
  }
}

function mixRows({ rows, total }: SpendReport): MixRow[] {
  return rows.map(({ key, answers, cost, percent: costPercent }: SpendRow) => ({
    key,
    answers,
    answerPercent: percentOf(answers, total.answers),
    cost,
    costPercent,
  }))
}
