/**
 * Tokens of one provider call, as they are billed. A part of a whole is billed at its own rate instead of the whole's,
 * and never twice; parts of one whole do not overlap, but for `cacheWrite1hTokens`, a part of `cacheWriteTokens`.
 */
export interface Usage {
  /** All that was read, cached tokens, pictures and sound included, as LangChain reports it. */
  readonly inputTokens: number
  /** All that was written, reasoning and sound included. */
  readonly outputTokens: number
  /** Part of `inputTokens`: read from the provider's prompt cache. */
  readonly cachedInputTokens: number
  /** Part of `inputTokens`: written to that cache, for however long. */
  readonly cacheWriteTokens: number
  /** Part of `cacheWriteTokens`: kept for an hour, where providers (Anthropic) bill that apart. */
  readonly cacheWrite1hTokens: number
  /** Part of `inputTokens`: sound that was heard. */
  readonly inputAudioTokens: number
  /** Part of `inputTokens`: pictures that were seen, where the provider tells them apart. */
  readonly inputImageTokens: number
  /** Part of `outputTokens`. */
  readonly reasoningTokens: number
  /** Part of `outputTokens`: speech. */
  readonly outputAudioTokens: number
  /** Part of `outputTokens`: pictures that were made. */
  readonly outputImageTokens: number
  /** True if the provider reported no usage, or not all of it, and our own counts stand in. */
  readonly estimated: boolean
}

/** What is known of a call that reported nothing and whose words nobody counted. */
export const NO_USAGE: Usage = {
  inputTokens: 0,
  outputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  inputAudioTokens: 0,
  inputImageTokens: 0,
  reasoningTokens: 0,
  outputAudioTokens: 0,
  outputImageTokens: 0,
  estimated: true,
}

/** The sum of two; undefined is nothing. An estimate anywhere makes the sum an estimate. */
export function addUsage(a: Usage | undefined, b: Usage | undefined): Usage | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return combineUsage(a, b, (x, y) => x + y)
}

/** Count by count. An estimate anywhere makes the whole an estimate. */
export function combineUsage(a: Usage, b: Usage, combine: (x: number, y: number) => number): Usage {
  return {
    inputTokens: combine(a.inputTokens, b.inputTokens),
    outputTokens: combine(a.outputTokens, b.outputTokens),
    cachedInputTokens: combine(a.cachedInputTokens, b.cachedInputTokens),
    cacheWriteTokens: combine(a.cacheWriteTokens, b.cacheWriteTokens),
    cacheWrite1hTokens: combine(a.cacheWrite1hTokens, b.cacheWrite1hTokens),
    inputAudioTokens: combine(a.inputAudioTokens, b.inputAudioTokens),
    inputImageTokens: combine(a.inputImageTokens, b.inputImageTokens),
    reasoningTokens: combine(a.reasoningTokens, b.reasoningTokens),
    outputAudioTokens: combine(a.outputAudioTokens, b.outputAudioTokens),
    outputImageTokens: combine(a.outputImageTokens, b.outputImageTokens),
    estimated: a.estimated || b.estimated,
  }
}
