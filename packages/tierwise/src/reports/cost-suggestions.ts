import type { RouteRecord } from "../spec/telemetry.ts"
import { dominatedTiers } from "./suggest/dominated-tiers.ts"
import { easyRequests } from "./suggest/easy-requests.ts"
import { failingDeployments } from "./suggest/failing-deployments.ts"
import { oversizedCaps } from "./suggest/oversized-caps.ts"
import { unusedCaching } from "./suggest/unused-caching.ts"
import { wastedFirstTries } from "./suggest/wasted-first-tries.ts"
import type { Suggestion } from "./suggestion.ts"
import { type SuggestionThresholds, suggestionThresholds } from "./suggestion-thresholds.ts"
import { type Reported, type Tally, tallied } from "./tally.ts"

/** Largest saving first. */
export interface CostSuggestions {
  readonly suggestions: readonly Suggestion[]
}

const FINDERS = [
  easyRequests,
  failingDeployments,
  wastedFirstTries,
  dominatedTiers,
  oversizedCaps,
  unusedCaching,
] as const

/**
 * Where money could be saved, with the evidence (row C8). Nothing is suggested on little evidence: see
 * `SuggestionThresholds`. One request may stand behind several suggestions, so that their savings do not add up.
 * @throws ConfigError for a threshold out of range.
 */
export function costSuggestions(
  records: Iterable<RouteRecord>,
  thresholds?: Partial<SuggestionThresholds>,
): Reported<CostSuggestions>
export function costSuggestions(
  records: AsyncIterable<RouteRecord>,
  thresholds?: Partial<SuggestionThresholds>,
): Promise<Reported<CostSuggestions>>
export function costSuggestions(
  records: Iterable<RouteRecord> | AsyncIterable<RouteRecord>,
  thresholds?: Partial<SuggestionThresholds>,
): Reported<CostSuggestions> | Promise<Reported<CostSuggestions>> {
  return tallied(records, suggestionTally(thresholds))
}

export function suggestionTally(given?: Partial<SuggestionThresholds>): Tally<CostSuggestions> {
  const thresholds = suggestionThresholds(given)
  const tallies = FINDERS.map((find) => find(thresholds))
  return {
    add(record) {
      for (const tally of tallies) tally.add(record)
    },
    report() {
      const suggestions = tallies.flatMap((tally) => tally.report())
      const savingOf = ({ estimatedSaving }: Suggestion) => estimatedSaving?.nanoUsd ?? 0
      return { suggestions: suggestions.sort((a, b) => savingOf(b) - savingOf(a)) }
    },
  }
}
