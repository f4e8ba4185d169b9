import { ConfigError } from "../spec/errors.ts"

/** What may be spent, of money, tokens or both. */
export interface Spendable {
  /** US dollars, > 0. */
  readonly usd?: number | undefined
  /** Input plus output tokens, a positive whole number. */
  readonly tokens?: number | undefined
}

/** `Number.MAX_SAFE_INTEGER` billionths, in whole US dollars. */
const MOST_USD = 9_007_199

/** @throws ConfigError for a limit that limits nothing, or that no spending could be held against. */
export function checkLimit({ usd, tokens }: Spendable, path: string): void {
  if (usd === undefined && tokens === undefined) {
    throw new ConfigError(path, "it limits nothing", "give usd, tokens, or both")
  }
  if (usd !== undefined && !(Number.isFinite(usd) && usd > 0)) {
    throw new ConfigError(`${path}.usd`, `${usd} is not a limit`, "give a positive number of US dollars")
  }
  if (usd !== undefined && usd > MOST_USD) {
    throw new ConfigError(`${path}.usd`, `${usd} is more than can be counted`, `give at most ${MOST_USD}`)
  }
  if (tokens !== undefined && !(Number.isSafeInteger(tokens) && tokens > 0)) {
    throw new ConfigError(
      `${path}.tokens`,
      `${tokens} is not a limit`,
      "give a positive whole number of tokens",
    )
  }
}
