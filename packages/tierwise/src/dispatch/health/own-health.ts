import { ConfigError } from "../../spec/errors.ts"
import type { BreakerOptions } from "./circuit-breaker.ts"
import { type HealthBook, healthBook } from "./health-book.ts"

export interface OwnHealth {
  /** How its breakers are set; false: they never open. Default: as `healthBook` sets them. */
  readonly circuitBreaker: BreakerOptions | false | undefined
  /** Others' book, which is taken as it is. Undefined: a new one. */
  readonly health: HealthBook | undefined
  /** Epoch ms. */
  readonly now: () => number
  /** In [0, 1). */
  readonly random: () => number
}

/** Nobody is so broken. */
const NEVER_TRIPS: BreakerOptions = { failures: Number.MAX_SAFE_INTEGER }

/**
 * The health book of a router or a chain, by its options.
 *
 * @throws ConfigError naming the option below `circuitBreaker` that is wrong, or beside a book.
 */
export function ownHealth({ circuitBreaker, health, now, random }: OwnHealth): HealthBook {
  if (health !== undefined) {
    if (circuitBreaker === undefined) return health
    const fix = "set them there, healthBook({ breaker }), or leave the book out"
    throw new ConfigError("circuitBreaker", "a health book is given too, which has the breakers", fix)
  }
  try {
    return healthBook({ breaker: circuitBreaker === false ? NEVER_TRIPS : circuitBreaker, now, random })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.path.replace(/^breaker/, "circuitBreaker"), error.problem, error.fix)
  }
}
