import { ConfigError } from "../spec/errors.ts"

/** Keeps retries from becoming a load of their own when much fails. */
export interface RetryBudget {
  /** A candidate is called for the first time. */
  called(): void
  /** True if one more retry may be made now; it is counted. */
  take(): boolean
}

export interface RetryBudgetOptions {
  /** Retries per call, 0 … 1. Default 0.1: at most a tenth more load. */
  readonly share?: number | undefined
  /** Retries per second that are free besides, so that a program with few calls can retry at all. Default 1. */
  readonly perSecond?: number | undefined
  /** Retries that can be saved up, and are there at first. Default 10. */
  readonly reserve?: number | undefined
  /** Milliseconds, from any moment on. Default `performance.now`. */
  readonly now?: (() => number) | undefined
}

/**
 * A token bucket, as Finagle's `RetryBudget` is one: each call puts `share` of a token in and each second `perSecond`, each
 * retry takes one out. Over n calls in t seconds there are at most `share` × n + `perSecond` × t + `reserve` retries.
 * @throws ConfigError for a figure that is none.
 */
export function retryBudget(options: RetryBudgetOptions = {}): RetryBudget {
  const { share = 0.1, perSecond = 1, reserve = 10, now = () => performance.now() } = options
  check("share", share, share <= 1, "give 0 to 1, e.g. 0.1")
  check("perSecond", perSecond, Number.isFinite(perSecond), "give retries per second, 0 or more")
  check("reserve", reserve, Number.isFinite(reserve), "give a number of retries, 0 or more")
  let left = reserve
  let countedAt = now()

  function add(tokens: number): void {
    left = Math.min(left + tokens, Math.max(reserve, 1))
  }

  return {
    called: () => add(share),
    take() {
      const at = now()
      add((Math.max(0, at - countedAt) / 1_000) * perSecond)
      countedAt = at
      // Ten tenths are a little less than one.
      if (left < 1 - 1e-9) return false
      left -= 1
      return true
    },
  }
}

/** Of this process: whatever routers and chains it has. */
export const PROCESS_RETRY_BUDGET: RetryBudget = retryBudget()

function check(name: string, value: number, isSound: boolean, fix: string): void {
  if (value >= 0 && isSound) return
  throw new ConfigError(`retryBudget.${name}`, `${value} does not fit`, fix)
}
