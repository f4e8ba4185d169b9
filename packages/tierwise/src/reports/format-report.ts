import type { PeriodReport } from "./period-reports.ts"
import type { ReportMoney } from "./report-money.ts"
import type { Comparison, Savings } from "./savings-report.ts"
import type { SpendRow } from "./spend-report.ts"

/** Rows of a table beyond this many are told in one line. */
const MOST_ROWS = 10

/**
 * A week's or month's report as Markdown that reads as plain text too: for a mail, a chat or a page. Names from requests
 * (tenants, task types) are escaped. The first line is a heading, which does for a mail's subject.
 */
export function formatReport(report: PeriodReport): string {
  const { spend, savings, suggestions, skipped } = report
  return [
    [`# Cost report ${report.name}`],
    [`${report.complete ? "" : "Not over yet. "}Days begin in ${report.timeZone}.`],
    skippedLines(report),
    summary(report),
    ["## Savings", ...savingsLines(savings.total)],
    section("By tier", "tier", spend.byTier),
    section("By deployment", "deployment", spend.byDeployment),
    section("By task type", "task type", spend.byTaskType),
    section("By tenant", "tenant", spend.byTenant),
    section("By day", "day", spend.byDay, spend.byDay.length),
    ["## Suggestions", ...suggestionLines(suggestions)],
    skipped.count === 0
      ? []
      : skipped.first.map(({ id, problem }) => `- ${text(id ?? "(no id)")}: ${text(problem)}`),
  ]
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")
    .concat("\n")
}

/** Said first: the figures below do not hold everything. */
function skippedLines({ skipped }: PeriodReport): readonly string[] {
  if (skipped.count === 0) return []
  const which = skipped.count === 1 ? "1 record" : `${count(skipped.count)} records`
  return [`**Left out of these figures, because it could not be used: ${which}.** See the end.`]
}

function summary({ spend: { total, unsent }, change }: PeriodReport): readonly string[] {
  const { costPerRequest } = total
  const since = (percent: number | undefined) =>
    percent === undefined ? "" : ` (${signed(percent)} on the period before)`
  return [
    `- Spent: ${usd(total.cost)}${since(change?.cost.percent)}`,
    `- Requests: ${count(total.requests)}${since(change?.requests.percent)}, answered: ${count(total.answers)}`,
    ...(unsent === 0 ? [] : [`- Refused before anybody was asked: ${count(unsent)}`]),
    `- Tokens: ${count(total.inputTokens)} in, ${count(total.outputTokens)} out`,
    ...(costPerRequest === undefined
      ? []
      : [
          `- Cost per request: ${usd(costPerRequest.p50)} (median), ${usd(costPerRequest.p95)} (95th percentile)`,
        ]),
  ]
}

function savingsLines(savings: Savings): readonly string[] {
  const { tokens, spentOnOtherAttempts, spentWithoutAnswer, notCompared, alwaysHeavy } = savings
  if (savings.compared === 0) return ["No answer can be compared."]
  const { gpuHours } = alwaysHeavy
  return [
    `Compared: ${count(savings.compared)} answers, for which ${usd(savings.spent)} were spent; ` +
      `${usd(spentOnOtherAttempts)} of it on attempts whose answer was not used, ${usd(spentWithoutAnswer)} on requests without an answer.`,
    "",
    ...table(
      ["against", "cost", "saved", "saved %"],
      [
        comparisonCells("always heavy", savings.alwaysHeavy),
        comparisonCells("random mix", savings.randomMix),
        comparisonCells("always light", savings.alwaysLight),
      ],
    ),
    "",
    `- Tokens kept from the top tier: ${count(tokens.saved)} of ${count(tokens.answered)} (${percent(tokens.savedPercent)})`,
    ...(gpuHours === undefined
      ? []
      : [
          `- GPU hours saved against always heavy: ${gpuHours.saved.toFixed(2)} (known for ${count(gpuHours.requests)} requests)`,
        ]),
    ...(notCompared.answers === 0
      ? []
      : [`- Not compared: ${count(notCompared.answers)} answers that cost ${usd(notCompared.spent)}`]),
  ]
}

function comparisonCells(name: string, { cost, saved, savedPercent }: Comparison): readonly string[] {
  return [name, usd(cost), usd(saved), percent(savedPercent)]
}

function section(
  title: string,
  column: string,
  rows: readonly SpendRow[],
  most: number = MOST_ROWS,
): readonly string[] {
  if (rows.length === 0) return []
  const cells = rows
    .slice(0, most)
    .map((row) => [
      text(row.key),
      count(row.requests),
      count(row.answers),
      usd(row.cost),
      percent(row.percent),
    ])
  const left = rows.length - cells.length
  const more = left === 0 ? [] : ["", `… and ${left} more.`]
  return [`## ${title}`, ...table([column, "requests", "answers", "cost", "share"], cells), ...more]
}

function suggestionLines(suggestions: PeriodReport["suggestions"]): readonly string[] {
  if (suggestions.length === 0) return ["None that the figures support."]
  return suggestions.map(({ message, estimatedSaving }) => {
    const saving = estimatedSaving === undefined || estimatedSaving.nanoUsd === 0
    return `- ${text(message)}${saving ? "" : ` Up to ${usd(estimatedSaving)} less.`}`
  })
}

/** The first column is for names, the others for figures. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const rule = head.map((_, column) => (column === 0 ? "---" : "---:"))
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`)
}

const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 })
const DOLLARS = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })
/** Single calls cost fractions of a cent. */
const SMALL_DOLLARS = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 6 })

function count(value: number): string {
  return COUNT.format(value)
}

function usd({ usd: value }: ReportMoney): string {
  return `${(Math.abs(value) < 1 ? SMALL_DOLLARS : DOLLARS).format(value)} USD`
}

function percent(value: number | undefined): string {
  return value === undefined ? "–" : `${value.toFixed(1)} %`
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)} %`
}

/** What came with a request makes no markup, no table cell and no line of its own. */
function text(value: string): string {
  return value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").replace(/[\\`*|<>[\]~]/g, "\\$&")
}
