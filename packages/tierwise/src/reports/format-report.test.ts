import { describe, expect, it } from "vitest"
import { sampleRecord } from "../testing/sample-records.ts"
import { formatReport } from "./format-report.ts"
import { type PeriodReport, weeklyReport } from "./period-reports.ts"

const monday = Date.parse("2026-01-05T00:00:00Z")
const WEEK = 604_800_000
const rates = { light: 1_000_000, heavy: 10_000_000 }

function lastOf(...records: Parameters<typeof sampleRecord>[0][]): PeriodReport {
  const { periods } = weeklyReport(records.map(sampleRecord), { now: () => monday + 10 * WEEK })
  return periods.at(-1) as PeriodReport
}

describe("formatReport", () => {
  it("says what was spent, saved and changed, as Markdown", () => {
    const report = lastOf(
      { at: monday - WEEK, tenant: "acme", rates, tries: [{ tier: "light" }] },
      {
        at: monday,
        tenant: "acme",
        rates,
        tries: [{ tier: "light", failure: "timeout" }, { tier: "heavy" }],
      },
      { at: monday, tenant: "umbra", rates, tries: [{ tier: "light", input: 100 }] },
      { at: monday, rates, tries: [] },
    )
    expect(formatReport(report)).toBe(`# Cost report 2026-W02

Days begin in UTC.

- Spent: 1.20 USD (+1100.0 % on the period before)
- Requests: 2 (+100.0 % on the period before), answered: 2
- Refused before anybody was asked: 1
- Tokens: 300 in, 0 out
- Cost per request: 0.10 USD (median), 1.10 USD (95th percentile)

## Savings
Compared: 2 answers, for which 1.20 USD were spent; 0.10 USD of it on attempts whose answer was not used, 0.00 USD on requests without an answer.

| against | cost | saved | saved % |
| --- | ---: | ---: | ---: |
| always heavy | 2.00 USD | 0.80 USD | 40.0 % |
| random mix | 1.10 USD | -0.10 USD | -9.1 % |
| always light | 0.20 USD | -1.00 USD | -500.0 % |

- Tokens kept from the top tier: 100 of 200 (50.0 %)

## By tier
| tier | requests | answers | cost | share |
| --- | ---: | ---: | ---: | ---: |
| heavy | 1 | 1 | 1.00 USD | 83.3 % |
| light | 2 | 1 | 0.20 USD | 16.7 % |

## By deployment
| deployment | requests | answers | cost | share |
| --- | ---: | ---: | ---: | ---: |
| large | 1 | 1 | 1.00 USD | 83.3 % |
| small | 2 | 1 | 0.20 USD | 16.7 % |

## By task type
| task type | requests | answers | cost | share |
| --- | ---: | ---: | ---: | ---: |
| (none) | 2 | 2 | 1.20 USD | 100.0 % |

## By tenant
| tenant | requests | answers | cost | share |
| --- | ---: | ---: | ---: | ---: |
| acme | 1 | 1 | 1.10 USD | 91.7 % |
| umbra | 1 | 1 | 0.10 USD | 8.3 % |

## By day
| day | requests | answers | cost | share |
| --- | ---: | ---: | ---: | ---: |
| 2026-01-05 | 2 | 2 | 1.20 USD | 100.0 % |

## Suggestions
None that the figures support.
`)
  })

  it("lets no name from a request make markup or a line of its own", () => {
    const tenant = "<b>x</b> | [a](b)\n# Paid: *0*\u202e"
    const mail = formatReport(lastOf({ at: monday, tenant, tries: [{ tier: "light" }] }))
    expect(mail).toContain("| \\<b\\>x\\</b\\> \\| \\[a\\](b) # Paid: \\*0\\*  | 1 | 1 |")
  })

  it("says first that records are missing, and that a period is not over", () => {
    const good = sampleRecord({ at: monday, tries: [{ tier: "light" }] })
    const bad = { ...good, id: "bad", cost: -1 as never }
    const [report] = weeklyReport([good, bad], { now: () => monday + 1 }).periods
    const lines = formatReport(report as PeriodReport).split("\n")
    expect(lines[2]).toBe("Not over yet. Days begin in UTC.")
    expect(lines[4]).toBe(
      "**Left out of these figures, because it could not be used: 1 record.** See the end.",
    )
    expect(lines.at(-2)).toMatch(/^- bad: cost: /)
  })

  it("shows ten rows of a table and counts the rest, and prints the suggestions with their savings", () => {
    const tenants = Array.from({ length: 36 }, (_, index) => ({
      at: monday,
      tenant: `t${index}`,
      score: 0.1,
      tries: [{ tier: "heavy" }],
    }))
    const mail = formatReport(lastOf(...tenants))
    expect(mail.match(/^\| t\d+ /gm)).toHaveLength(10)
    expect(mail).toContain("… and 26 more.")
    expect(mail).toContain(
      "- heavy answered 100 % of the requests that scored \\< 0.2 (36 of 36). Raise the threshold",
    )
    expect(mail).toContain("Up to 0.000032 USD less.")
  })

  it("gives small sums the decimals they need", () => {
    const mail = formatReport(lastOf({ at: monday, tries: [{ tier: "light", cost: 1_234_567 }] }))
    expect(mail).toContain("- Spent: 0.001235 USD")
  })
})
