import { ConfigError } from "../spec/errors.ts"

/** What `LedgerLimits.json` holds. */
interface Kept {
  readonly timeZone: string
  readonly limits: readonly unknown[]
}

/** Told of a difference at most this often, so that an error stays readable. */
const MOST_TOLD = 5

/**
 * What the process is told that comes to a ledger with other limits than it is kept with: what differs, and what to do.
 *
 * @param kept the `json` that the ledger holds.
 * @param given the `json` of this process.
 */
export function otherLimits(name: string, kept: string, given: string): ConfigError {
  const fix = 'give all processes of a ledger the same limits, or this one otherLimits: "replace"'
  return new ConfigError("budget.limits", `${name} is kept with others: ${differences(kept, given)}`, fix)
}

function differences(kept: string, given: string): string {
  const theirs = read(kept)
  const ours = JSON.parse(given) as Kept
  if (theirs === undefined) return `it has ${kept}, which cannot be read`
  const zones =
    theirs.timeZone === ours.timeZone ? [] : [`time zone ${theirs.timeZone}, not ${ours.timeZone}`]
  const told = [
    ...zones,
    ...missing(theirs.limits, ours.limits).map((limit) => `it has ${limit}`),
    ...missing(ours.limits, theirs.limits).map((limit) => `here is ${limit}`),
  ]
  const rest = told.length - MOST_TOLD
  return told.slice(0, MOST_TOLD).join("; ") + (rest > 0 ? `; and ${rest} more` : "")
}

function read(json: string): Kept | undefined {
  try {
    const { timeZone, limits } = JSON.parse(json) as Kept
    return Array.isArray(limits) ? { timeZone, limits } : undefined
  } catch {
    return undefined
  }
}

/** Those of `some` that `others` have not. */
function missing(some: readonly unknown[], others: readonly unknown[]): readonly string[] {
  const known = new Set(others.map((limit) => JSON.stringify(limit)))
  return some.map((limit) => JSON.stringify(limit)).filter((limit) => !known.has(limit))
}
