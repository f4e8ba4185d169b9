import { z } from "zod"
import { ConfigError } from "../spec/errors.ts"

/** When figures are enough for a suggestion. Shares are in 0 … 1. */
export interface SuggestionThresholds {
  /** No suggestion rests on fewer requests or attempts than this. Default 30. */
  readonly minEvidence: number
  /** A request that scores below is easy. Default 0.2. */
  readonly easyScore: number
  /** Of the easy requests, answered by one tier above the lowest. Default 0.25. */
  readonly easyShare: number
  /** Of a deployment's attempts, failed by its own fault. Default 0.5. */
  readonly failedShare: number
  /** Of the first answers to one task type, rejected and escalated. Default 0.8. */
  readonly escalatedShare: number
  /** Of a tier's answers, cheaper at a stronger tier. Default 0.95. */
  readonly dominatedShare: number
  /** Of its output cap, used by 99 % of a deployment's answers. Default 0.25. */
  readonly capUsedShare: number
  /** Prompts of fewer tokens are not cached: 1,024 is the least that OpenAI and most Claude models cache. */
  readonly cacheableTokens: number
}

export const DEFAULT_SUGGESTION_THRESHOLDS: SuggestionThresholds = {
  minEvidence: 30,
  easyScore: 0.2,
  easyShare: 0.25,
  failedShare: 0.5,
  escalatedShare: 0.8,
  dominatedShare: 0.95,
  capUsedShare: 0.25,
  cacheableTokens: 1_024,
}

const share = z.number().min(0).max(1)
const thresholds = z.strictObject({
  minEvidence: z.int().positive(),
  easyScore: share,
  easyShare: share,
  failedShare: share,
  escalatedShare: share,
  dominatedShare: share,
  capUsedShare: share,
  cacheableTokens: z.int().positive(),
})

/** @throws ConfigError naming the threshold that is unknown or out of range. */
export function suggestionThresholds(given: Partial<SuggestionThresholds> = {}): SuggestionThresholds {
  const parsed = thresholds.safeParse({ ...DEFAULT_SUGGESTION_THRESHOLDS, ...given })
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new ConfigError(
    ["thresholds", ...(issue?.path ?? [])].map(String).join("."),
    issue?.message ?? "it is not a threshold",
    "give shares in 0 … 1 and positive whole counts, or leave it out",
  )
}
