import { ConfigError } from "../../spec/errors.ts"
import { endOf, type Lasting, lasting } from "./time-left.ts"

export interface Cooldown {
  /** Epoch ms. */
  readonly until: number
  /** Why, in a few words, for whoever reads a health page. */
  readonly because: string
}

/** Pauses that targets asked for. A clock that is set back makes none longer. */
export interface Cooldowns {
  /**
   * The longest wins; one that is over already is nothing. Returns whether anything changed.
   *
   * @throws ConfigError for a time that is none.
   */
  cool(key: string, untilMs: number, because: string): boolean
  /** Epoch ms; undefined: it may be called. */
  until(key: string): number | undefined
  /** Undefined: it does not cool down. */
  of(key: string): Cooldown | undefined
  clear(key: string): void
  /** Epoch ms from when the first of these may be called; undefined: one may be now, or there are none. */
  soonest(keys: Iterable<string>): number | undefined
  /** How many are kept, some of them perhaps over. */
  readonly size: number
}

export interface CooldownsOptions {
  /** Epoch ms. */
  readonly now: () => number
  /** How many are kept at most, > 0. Beyond it whoever is free first is let go. Default 10,000. */
  readonly most?: number | undefined
}

const MOST_COOLDOWNS = 10_000

export function cooldowns({ now, most = MOST_COOLDOWNS }: CooldownsOptions): Cooldowns {
  if (!(Number.isSafeInteger(most) && most > 0)) {
    throw new ConfigError("cooldowns.most", `${most} is not a number of keys`, "give a positive whole number")
  }
  const kept = new Map<string, { readonly pause: Lasting; readonly because: string }>()

  function of(key: string): Cooldown | undefined {
    const found = kept.get(key)
    if (found === undefined) return undefined
    const until = endOf(found.pause, now())
    if (until !== undefined) return { until, because: found.because }
    kept.delete(key)
    return undefined
  }

  function makeRoom(): void {
    const at = now()
    let first: string | undefined
    let firstUntil = Number.POSITIVE_INFINITY
    for (const [key, { pause }] of kept) {
      const until = endOf(pause, at)
      if (until === undefined) kept.delete(key)
      else if (until < firstUntil) [first, firstUntil] = [key, until]
    }
    if (kept.size >= most && first !== undefined) kept.delete(first)
  }

  return {
    cool(key, until, because) {
      if (!Number.isFinite(until)) {
        throw new ConfigError("cooldown.until", `${until} is not a time`, "give epoch milliseconds")
      }
      const at = now()
      if (until <= at || until <= (of(key)?.until ?? 0)) return false
      if (kept.size >= most && !kept.has(key)) makeRoom()
      kept.set(key, { pause: lasting(until, at), because })
      return true
    },
    until: (key) => of(key)?.until,
    of,
    clear: (key) => void kept.delete(key),
    soonest(keys) {
      let soonest: number | undefined
      for (const key of keys) {
        const until = of(key)?.until
        if (until === undefined) return undefined
        soonest = Math.min(soonest ?? until, until)
      }
      return soonest
    },
    get size() {
      return kept.size
    },
  }
}
