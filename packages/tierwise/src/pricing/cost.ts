import { ConfigError } from "../spec/errors.ts"
import { type NanoUsd, nanoUsd } from "../spec/money.ts"
import type { Usage } from "../spec/usage.ts"
import { type Rates, ratesAt } from "./rates.ts"

const PICO_PER_NANO = 1000

/**
 * What a call did cost. Every token is charged once: at the rate of the part it belongs to, and at the plain rate where
 * it belongs to none. Rounded once, up, to a whole NanoUsd.
 *
 * @throws ConfigError for a count that is no whole number of tokens, and beyond about nine thousand dollars for one call.
 */
export function costOf(usage: Usage, rates: Rates): NanoUsd {
  const at = ratesAt(rates, usage.inputTokens)
  const keptAnHour = Math.min(usage.cacheWrite1hTokens, usage.cacheWriteTokens)
  return priced(
    charged(usage.inputTokens, at.input, [
      [usage.cachedInputTokens, at.cachedInput],
      [usage.cacheWriteTokens - keptAnHour, at.cacheWrite],
      [keptAnHour, at.cacheWrite1h],
      [usage.inputAudioTokens, at.inputAudio],
      [usage.inputImageTokens, at.inputImage],
    ]) +
      charged(usage.outputTokens, at.output, [
        [usage.reasoningTokens, at.reasoning],
        [usage.outputAudioTokens, at.outputAudio],
        [usage.outputImageTokens, at.outputImage],
      ]),
  )
}

type Part = readonly [tokens: number, rate: number]

/**
 * Parts that are more than their whole overlap: a sound that was read from the cache is counted as both. Nobody says by
 * how much, so the dearer part takes its tokens first.
 */
function charged(whole: number, rate: number, parts: Part[]): number {
  let left = whole
  let pico = 0
  for (const [tokens, partRate] of parts.sort(([, a], [, b]) => b - a)) {
    const taken = Math.min(tokens, left)
    if (!(taken >= 0)) return Number.NaN
    pico += taken * partRate
    left -= taken
  }
  return pico + left * rate
}

/** Pico-USD to NanoUsd, up. @throws ConfigError beyond 2^53 pico-USD, about nine thousand dollars for one call. */
export function priced(pico: number): NanoUsd {
  if (Number.isSafeInteger(pico) && pico >= 0) return nanoUsd(Math.ceil(pico / PICO_PER_NANO))
  const problem = `a call of ${pico} pico-USD is not an amount, or more than can be counted (about 9,007 USD)`
  throw new ConfigError("money", problem, "check the price and the counts of tokens")
}
