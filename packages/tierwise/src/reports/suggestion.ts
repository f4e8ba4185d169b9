import type { ReportMoney } from "./report-money.ts"

/** Something that would save money, with the figures that say so. Plain JSON. */
export type Suggestion =
  | SuggestionOf<
      "easy-requests-above-lowest-tier",
      {
        /** Who answered them. */
        readonly tier: string
        readonly lowestTier: string
        /** Requests with a score below this are easy. */
        readonly scoreBelow: number
        /** Easy requests, and those of them that this tier answered without a try further down. */
        readonly easyRequests: number
        readonly answeredHere: number
        readonly percent: number
      }
    >
  | SuggestionOf<
      "failing-deployment",
      {
        readonly deploymentId: string
        readonly attempts: number
        readonly failed: number
        readonly percent: number
        /** What the failed ones cost all the same. */
        readonly failedCost: ReportMoney
      }
    >
  | SuggestionOf<
      "wasted-first-try",
      {
        /** Undefined: requests that name none. */
        readonly taskType: string | undefined
        readonly tier: string
        readonly nextTier: string
        readonly firstAnswers: number
        /** Those that were rejected and answered further up. */
        readonly escalated: number
        readonly percent: number
      }
    >
  | SuggestionOf<
      "dominated-tier",
      {
        readonly tier: string
        readonly deploymentId: string
        /** Stronger, and cheaper for the same tokens. */
        readonly strongerTier: string
        readonly strongerDeploymentId: string
        readonly answers: number
        readonly dearer: number
        readonly percent: number
      }
    >
  | SuggestionOf<
      "oversized-output-cap",
      {
        readonly deploymentId: string
        readonly answers: number
        /** The largest cap that was sent, the longest answer, and how much of its cap 99 % of the answers stayed below. */
        readonly outputCap: number
        readonly longestAnswer: number
        readonly p99PercentOfCap: number
        /** Twice the longest answer. */
        readonly suggestedCap: number
        /** Held before the calls, and spent in them. */
        readonly quoted: ReportMoney
        readonly cost: ReportMoney
      }
    >
  | SuggestionOf<
      "unused-prompt-caching",
      {
        readonly deploymentId: string
        /** Answers to long prompts whose beginning had been sent before: a later turn, or the middle of a tool loop. */
        readonly longRepeatedPrompts: number
        readonly inputTokens: number
        readonly minTokens: number
      }
    >

interface SuggestionOf<Kind extends string, Evidence> {
  readonly kind: Kind
  /** For people, one or two sentences. */
  readonly message: string
  readonly evidence: Evidence
  /**
   * What would have been saved in the time of the records, at most: nobody knows whether the cheaper answers would have
   * been accepted. 0 where only held money is set free; undefined where the records do not tell.
   */
  readonly estimatedSaving: ReportMoney | undefined
}
