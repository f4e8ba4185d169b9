import { addMoney, type NanoUsd, nanoUsd, ZERO_USD } from "../spec/money.ts"
import type { RouteRecord, TierCost } from "../spec/telemetry.ts"
import { returnedAttempt, scopeId, sentAttempts, tierCostsOf, tokensOf } from "./record-parts.ts"
import { percentOf, type ReportMoney, reportMoney } from "./report-money.ts"
import { type Reported, type Tally, tallied } from "./tally.ts"

export interface SavingsOptions {
  /** Whose savings are told apart. Default `tenant`. */
  readonly scope?: string | undefined
}

/** What another way of choosing would have taken for the same answers. */
export interface Comparison {
  /** The baseline's cost. */
  readonly cost: ReportMoney
  /** Its cost − what was spent. Negative: routing was the dearer way. */
  readonly saved: ReportMoney
  /** 100 × saved ÷ its cost, at most 100; undefined if it costs nothing: then no share of it means anything. */
  readonly savedPercent: number | undefined
  /** Undefined if it is known of no request how long a GPU worked for it, both really and in the baseline. */
  readonly gpuHours: GpuHours | undefined
}

export interface GpuHours {
  /** The requests of which it is known. */
  readonly requests: number
  /** By all their attempts. */
  readonly used: number
  readonly baseline: number
  /** Baseline − used. */
  readonly saved: number
}

export interface TokenSavings {
  /** Input plus output of the answers that were returned and compared: what always-heavy sends to the top tier. */
  readonly answered: number
  /** What really went to the top tier for them, in all attempts: failed and rejected ones too. */
  readonly atTopTier: number
  /** Answered − at the top tier. Negative if the top tier was asked in vain more often than it was spared. */
  readonly saved: number
  /** 100 × saved ÷ answered; undefined without tokens. */
  readonly savedPercent: number | undefined
}

/**
 * Savings over the returned answers. What was spent includes everything: failed attempts, rejected answers, fallbacks,
 * and requests that ended without an answer, for which a baseline is charged nothing. The baselines price the returned
 * answer's tokens at each tier's first deployment; that another model may use other words for it, and answer worse or
 * better, is not known and not pretended.
 */
export interface Savings {
  readonly requests: number
  readonly answers: number
  /** Answers that were compared; the others are in `notCompared`. */
  readonly compared: number
  /** On compared answers and on requests without an answer. */
  readonly spent: ReportMoney
  /** Part of `spent`: attempts whose answer was not returned, of requests that had one all the same. */
  readonly spentOnOtherAttempts: ReportMoney
  /** Part of `spent`: requests that ended without an answer. */
  readonly spentWithoutAnswer: ReportMoney
  /** Answers of records without tier costs: of an older version, or with tokens that cannot be priced. */
  readonly notCompared: { readonly answers: number; readonly spent: ReportMoney }
  readonly tokens: TokenSavings
  /** The top tier answers everything. */
  readonly alwaysHeavy: Comparison
  /** The lowest tier answers everything. */
  readonly alwaysLight: Comparison
  /** Each tier is equally likely: what a router must beat to be worth its name. */
  readonly randomMix: Comparison
}

export interface SavingsRow extends Savings {
  /** The tenant's id; `default` for requests that name none. */
  readonly key: string
}

/** Biggest spender first. */
export interface SavingsReport {
  readonly total: Savings
  readonly rows: readonly SavingsRow[]
}

/**
 * What routing saved, per tenant and all together (rows E5, E7). Answers out of the cache have no record and count
 * nowhere.
 * @throws ConfigError if a sum is beyond nine million dollars.
 */
export function savingsReport(
  records: Iterable<RouteRecord>,
  options?: SavingsOptions,
): Reported<SavingsReport>
export function savingsReport(
  records: AsyncIterable<RouteRecord>,
  options?: SavingsOptions,
): Promise<Reported<SavingsReport>>
export function savingsReport(
  records: Iterable<RouteRecord> | AsyncIterable<RouteRecord>,
  options: SavingsOptions = {},
): Reported<SavingsReport> | Promise<Reported<SavingsReport>> {
  return tallied(records, savingsTally(options))
}

export function savingsTally({ scope = "tenant" }: SavingsOptions = {}): Tally<SavingsReport> {
  const total = openSavings()
  const rows = new Map<string, OpenSavings>()
  return {
    add(record) {
      const key = scopeId(record, scope)
      const row = rows.get(key) ?? openSavings()
      rows.set(key, row)
      addTo(total, record)
      addTo(row, record)
    },
    report: () => ({
      total: closed(total),
      rows: [...rows]
        .map(([key, row]) => ({ key, ...closed(row) }))
        .sort((a, b) => b.spent.nanoUsd - a.spent.nanoUsd || (a.key < b.key ? -1 : 1)),
    }),
  }
}

interface OpenSavings {
  requests: number
  answers: number
  compared: number
  spent: NanoUsd
  otherAttempts: NanoUsd
  withoutAnswer: NanoUsd
  notCompared: { answers: number; spent: NanoUsd }
  tokens: { answered: number; atTopTier: number }
  readonly baselines: Readonly<Record<BaselineName, OpenBaseline>>
}

interface OpenBaseline {
  cost: NanoUsd
  gpu: { requests: number; usedSeconds: number; seconds: number }
}

type BaselineName = "alwaysHeavy" | "alwaysLight" | "randomMix"

/** What each baseline takes for one answer, from its cost in every tier. */
const BASELINES: Readonly<Record<BaselineName, (tiers: readonly TierCost[]) => Work>> = {
  alwaysHeavy: (tiers) => tiers.at(-1) as TierCost,
  alwaysLight: (tiers) => tiers[0] as TierCost,
  randomMix: meanWork,
}

const BASELINE_NAMES = Object.keys(BASELINES) as readonly BaselineName[]

type Work = Pick<TierCost, "cost" | "gpuSeconds">

/** To the nearest NanoUsd. */
function meanWork(tiers: readonly TierCost[]): Work {
  const cost = tiers.reduce((sum, tier) => addMoney(sum, tier.cost), ZERO_USD)
  const seconds = tiers.reduce((sum, { gpuSeconds = Number.NaN }) => sum + gpuSeconds, 0)
  return {
    cost: nanoUsd(Math.round(cost / tiers.length)),
    gpuSeconds: Number.isNaN(seconds) ? undefined : seconds / tiers.length,
  }
}

function openSavings(): OpenSavings {
  const baseline = () => ({ cost: ZERO_USD, gpu: { requests: 0, usedSeconds: 0, seconds: 0 } })
  return {
    requests: 0,
    answers: 0,
    compared: 0,
    spent: ZERO_USD,
    otherAttempts: ZERO_USD,
    withoutAnswer: ZERO_USD,
    notCompared: { answers: 0, spent: ZERO_USD },
    tokens: { answered: 0, atTopTier: 0 },
    baselines: { alwaysHeavy: baseline(), alwaysLight: baseline(), randomMix: baseline() },
  }
}

function addTo(open: OpenSavings, record: RouteRecord): void {
  open.requests += 1
  const returned = returnedAttempt(record)
  if (returned === undefined) {
    open.spent = addMoney(open.spent, record.cost)
    open.withoutAnswer = addMoney(open.withoutAnswer, record.cost)
    for (const name of BASELINE_NAMES) addGpu(open.baselines[name], record, 0)
    return
  }
  open.answers += 1
  const tiers = tierCostsOf(record)
  const top = tiers.at(-1)
  if (top === undefined) {
    open.notCompared.answers += 1
    open.notCompared.spent = addMoney(open.notCompared.spent, record.cost)
    return
  }
  open.compared += 1
  open.spent = addMoney(open.spent, record.cost)
  open.otherAttempts = addMoney(open.otherAttempts, nanoUsd(record.cost - returned.cost))
  open.tokens.answered += tokensOf(returned)
  for (const attempt of sentAttempts(record)) {
    if (attempt.tier === top.tier) open.tokens.atTopTier += tokensOf(attempt)
  }
  for (const name of BASELINE_NAMES) {
    const baseline = open.baselines[name]
    const { cost, gpuSeconds } = BASELINES[name](tiers)
    baseline.cost = addMoney(baseline.cost, cost)
    addGpu(baseline, record, gpuSeconds)
  }
}

function addGpu({ gpu }: OpenBaseline, { gpuSeconds: used }: RouteRecord, seconds: number | undefined): void {
  if (used === undefined || seconds === undefined) return
  gpu.requests += 1
  gpu.usedSeconds += used
  gpu.seconds += seconds
}

function closed(open: OpenSavings): Savings {
  const { requests, answers, compared, spent, notCompared, baselines } = open
  const { answered, atTopTier } = open.tokens
  const saved = answered - atTopTier
  const compare = (name: BaselineName) => comparison(baselines[name], spent)
  return {
    requests,
    answers,
    compared,
    spent: reportMoney(spent),
    spentOnOtherAttempts: reportMoney(open.otherAttempts),
    spentWithoutAnswer: reportMoney(open.withoutAnswer),
    notCompared: { answers: notCompared.answers, spent: reportMoney(notCompared.spent) },
    tokens: { answered, atTopTier, saved, savedPercent: percentOf(saved, answered) },
    alwaysHeavy: compare("alwaysHeavy"),
    alwaysLight: compare("alwaysLight"),
    randomMix: compare("randomMix"),
  }
}

const SECONDS_PER_HOUR = 3_600

function comparison({ cost, gpu }: OpenBaseline, spent: NanoUsd): Comparison {
  const saved = cost - spent
  const used = gpu.usedSeconds / SECONDS_PER_HOUR
  const baseline = gpu.seconds / SECONDS_PER_HOUR
  return {
    cost: reportMoney(cost),
    saved: reportMoney(saved),
    savedPercent: percentOf(saved, cost),
    gpuHours:
      gpu.requests === 0 ? undefined : { requests: gpu.requests, used, baseline, saved: baseline - used },
  }
}
