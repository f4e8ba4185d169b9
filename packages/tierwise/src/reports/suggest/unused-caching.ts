import type { RouteRecord } from "../../spec/telemetry.ts"
import { answeredAttempts } from "../record-parts.ts"
import type { Suggestion } from "../suggestion.ts"
import type { SuggestionThresholds } from "../suggestion-thresholds.ts"
import type { Tally } from "../tally.ts"

/** Long prompts whose beginning was sent before, of which no provider took a single token from its cache. */
export function unusedCaching(thresholds: SuggestionThresholds): Tally<readonly Suggestion[]> {
  const { cacheableTokens, minEvidence } = thresholds
  const deployments = new Map<string, { prompts: number; inputTokens: number; cached: number }>()
  return {
    add(record) {
      if (!repeatsItself(record)) return
      for (const { deploymentId, usage } of answeredAttempts(record)) {
        // Our own count of an answer without usage knows nothing of the provider's cache.
        if (usage.estimated || usage.inputTokens < cacheableTokens) continue
        const open = deployments.get(deploymentId) ?? { prompts: 0, inputTokens: 0, cached: 0 }
        deployments.set(deploymentId, open)
        open.prompts += 1
        open.inputTokens += usage.inputTokens
        open.cached += usage.cachedInputTokens
      }
    },
    report: () =>
      [...deployments]
        .filter(([, { prompts, cached }]) => prompts >= minEvidence && cached === 0)
        .map(
          ([deploymentId, { prompts, inputTokens }]): Suggestion => ({
            kind: "unused-prompt-caching",
            message:
              `${deploymentId} read ${prompts} long prompts that began as one before (${inputTokens} tokens), none from a cache. ` +
              "If its provider caches prompts, turn that on, and keep what changes at the end of the prompt.",
            evidence: {
              deploymentId,
              longRepeatedPrompts: prompts,
              inputTokens,
              minTokens: cacheableTokens,
            },
            estimatedSaving: undefined,
          }),
        ),
  }
}

function repeatsItself({ plan: { features } }: RouteRecord): boolean {
  return features.turns > 1 || features.toolResultsPending
}
