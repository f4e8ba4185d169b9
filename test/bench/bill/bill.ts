import { atLeast, atMost, type Bar, type Bench } from "../bench.ts"
import { type Account, type ClassFigures, differencesOf, figuresOf, type Known } from "./judge.ts"
import { KINDS } from "./mix.ts"
import { type Played, playBill } from "./play.ts"

const CALLS = 10_000
const SEED = 1
/** Of the sum of each class of estimates. */
const MOST_ASTRAY = 0.05

/** Is what is booked what is billed? The provider's own invoice, line by line, against the ledger. */
export const bench: Bench = {
  async run(progress) {
    const from = performance.now()
    const played = await playBill(CALLS, SEED, progress)
    const differences = differencesOf(played)
    const classes = classesOf(played.accounts)
    for (const [name, figures] of Object.entries(classes)) progress(`${name}: ${JSON.stringify(figures)}`)
    return {
      figures: {
        seed: SEED,
        calls: played.calls,
        holds: played.accounts.length,
        lines: played.lines.length,
        refusedByTheBudget: refusals(played),
        seconds: Math.round((performance.now() - from) / 1_000),
        ...differences,
        known: Object.fromEntries(grouped(played.accounts, ({ known }) => known)),
        classes,
        tongues: Object.fromEntries(
          grouped(
            played.accounts.filter(({ detail }) => detail !== ""),
            ({ detail }) => detail,
          ),
        ),
      },
      bars: [
        atMost("lines of the bill without a booking", differences.linesWithoutBooking, 0),
        atMost("NanoUsd billed of calls booked as not billed", differences.billedButNotBooked, 0),
        atMost("NanoUsd between ledger and attempts", Math.abs(differences.ledgerMinusAttempts), 0),
        atMost("holds that were closed at another amount", differences.holdsAstray, 0),
        ...exactBars(played),
        ...seenBars(played.accounts),
        atLeast(
          "calls that the budget refused, of which the bill has no line",
          refusals(played),
          CALLS / 100,
        ),
      ],
    }
  },
}

function refusals({ tried }: Played): number {
  return tried.filter(({ attempt }) => attempt.outcome === "skipped").length
}

/** Kind of call, and what was known of it, to what all such calls add up to. */
function classesOf(accounts: readonly Account[]): Readonly<Record<string, ClassFigures>> {
  return Object.fromEntries(grouped(accounts, ({ kind, known }) => `${known}: ${kind}`))
}

function grouped(
  accounts: readonly Account[],
  by: (account: Account) => string,
): readonly (readonly [string, ClassFigures])[] {
  const groups = [...Map.groupBy(accounts, by)].sort(([a], [b]) => (a < b ? -1 : 1))
  return groups.map(([name, group]) => [name, figuresOf(group)])
}

function exactBars({ accounts, calls }: Played): Bar[] {
  const of = (wanted: Known) => figuresOf(accounts.filter(({ known }) => known === wanted))
  const [reported, unseen] = [of("reported"), of("unseen")]
  return [
    atMost("calls with usage whose booking differs from the bill", reported.different, 0),
    // A bill without them would prove nothing.
    atLeast("calls with usage", reported.calls, calls / 2),
    atMost("calls nothing was seen of, booked below the bill", unseen.below, 0),
    atLeast("calls nothing was seen of", unseen.calls, calls / 20),
  ]
}

const HIDING = new Set(KINDS.filter(({ hides }) => hides === true).map(({ name }) => name))

function seenBars(accounts: readonly Account[]): Bar[] {
  const seen = accounts.filter(({ kind, known }) => known === "seen" && !HIDING.has(kind))
  return grouped(seen, ({ kind }) => kind).map(([kind, { ratio }]) =>
    atMost(`estimates, ${kind}: |booked ÷ billed − 1|`, Math.abs((ratio ?? 0) - 1), MOST_ASTRAY),
  )
}
