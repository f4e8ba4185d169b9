import { type NanoUsd, nanoUsd } from "../spec/money.ts"
import type { Usage } from "../spec/usage.ts"
import { type Rates, ratesAt } from "./rates.ts"

const PICO_PER_NANO = 1000

/**
 * What a call did cost. `inputTokens` includes cached and cache-written tokens (LangChain's convention), so those
 * are taken out before the plain input rate applies. Rounded once, up, to a whole NanoUsd.
 */
export function costOf(usage: Usage, rates: Rates): NanoUsd {
  const { input, output, cachedInput, cacheWrite } = ratesAt(rates, usage.inputTokens)
  const plain = Math.max(0, usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens)
  return priced(
    plain * input +
      usage.cachedInputTokens * cachedInput +
      usage.cacheWriteTokens * cacheWrite +
      usage.outputTokens * output,
  )
}

/** Pico-USD to NanoUsd, up. @throws ConfigError beyond 2^53 pico-USD, about nine thousand dollars for one call. */
export function priced(pico: number): NanoUsd {
  if (!Number.isSafeInteger(pico)) return nanoUsd(Number.NaN)
  return nanoUsd(Math.ceil(pico / PICO_PER_NANO))
}
