import { ConfigError } from "../../spec/errors.ts"
import type { TrafficLimit } from "../../spec/traffic.ts"
import { learntLimits, type ResponseHeaders } from "./learnt-limits.ts"
import { slidingWindow } from "./sliding-window.ts"

/** A call that was let in. */
export interface Slot {
  /**
   * The call is over, however it ended. Only the first time counts; never throws.
   *
   * @param actualTokens What it used, as the provider counts it against the limit: then it replaces the estimate. Less is
   * given back to the minute in which the call began; more counts from now on. `unsent`: nobody was asked, and nothing counts.
   * Default, and for anything that is no number of tokens: the estimate stands.
   */
  ended(actualTokens?: number | "unsent"): void
}

/**
 * Why a call was not let in.
 * - `requests`, `tokens`: the minute is full;
 * - `concurrency`: as many calls as may run are running;
 * - `saturated`: the provider said that nothing is left;
 * - `too-large`: it asks for more tokens than may ever be used in one minute.
 */
export type LimitReached = "requests" | "tokens" | "concurrency" | "saturated" | "too-large"

export type Entry =
  | { readonly allowed: true; readonly slot: Slot }
  | {
      readonly allowed: false
      readonly because: LimitReached
      /**
       * Epoch ms, when it is worth asking again. Undefined for `concurrency`, which only a call that ends can change, and for
       * `too-large`, which nothing can.
       */
      readonly until: number | undefined
    }

/** The limits of one deployment. */
export interface TrafficLimits {
  /**
   * Lets a call in, or says why not and until when. Synchronous: what was let in counts at once.
   *
   * @param tokens The most it may use, input plus output; rounded up.
   * @throws ConfigError if that is no number, or negative.
   */
  enter(tokens: number): Entry
  /**
   * Learns from the headers of a response; see `learnt-limits.ts` for which. A learnt limit holds only where none is
   * configured or where it is lower, and for ten minutes. A provider that has nothing left is not asked until its reset, for
   * ten minutes at most; a later response does not shorten that, since responses overtake each other. Never throws.
   */
  learn(headers: ResponseHeaders): void
  /** How full it is, 0 to 1: the fullest of the limits. 0 where nothing is limited. */
  load(): number
}

export interface TrafficLimitsOptions {
  readonly limits: TrafficLimit
  /** Epoch ms. */
  readonly now: () => number
  /** Where the limits stand, for errors: `deployments[2].limits`. Default `limits`. */
  readonly path?: string
}

/**
 * Never lets in more calls, or calls for more tokens, than the limit in any 60 s, both ends included; see `slidingWindow` for
 * how. What a call uses beyond its estimate cannot be stopped any more, but counts for those that follow.
 *
 * A call that is larger than a *learnt* limit is let in alone instead of never: the estimate may be too high, and the
 * provider has the last word.
 *
 * @throws ConfigError for a limit that is no whole number of at least 1.
 */
export function trafficLimits({ limits, now, path = "limits" }: TrafficLimitsOptions): TrafficLimits {
  checkTrafficLimit(limits, path)
  const { requestsPerMinute = Infinity, tokensPerMinute = Infinity, concurrency = Infinity } = limits
  const requests = slidingWindow()
  const tokens = slidingWindow()
  const learnt = learntLimits({ now })
  let running = 0

  const mostRequests = (at: number) => Math.min(requestsPerMinute, learnt.limitOf("requests", at))
  const mostTokens = (at: number) => Math.min(tokensPerMinute, learnt.limitOf("tokens", at))

  /** Undefined: come in. Of several reasons the one that lasts longest, so that nobody asks again for nothing. */
  function refusal(wanted: number, at: number): Entry | undefined {
    if (wanted > tokensPerMinute) return TOO_LARGE
    const limit = mostTokens(at)
    const requestsFree = requests.freeAt(1, mostRequests(at), at)
    const tokensFree = tokens.freeAt(Math.min(wanted, limit), limit, at)
    const until = Math.max(requestsFree, tokensFree, learnt.emptyUntil())
    if (until <= at) return running < concurrency ? undefined : CROWDED
    const because = until === requestsFree ? "requests" : until === tokensFree ? "tokens" : "saturated"
    return { allowed: false, because, until }
  }

  function slotOf(estimate: number, addedAt: Added): Slot {
    let isOpen = true
    return {
      ended(actualTokens) {
        if (!isOpen) return
        isOpen = false
        running--
        if (actualTokens === "unsent") requests.takeBack(1, addedAt.request, now())
        const actual = actualTokens === "unsent" ? 0 : actualTokens
        if (!isTokens(actual)) return
        const more = Math.ceil(actual) - estimate
        if (more > 0) tokens.add(more, now())
        else if (more < 0) tokens.takeBack(-more, addedAt.tokens, now())
      },
    }
  }

  return {
    enter(wanted) {
      if (!isTokens(wanted))
        throw new ConfigError("tokens", `${wanted} is no number of tokens`, "give 0 or more")
      const estimate = Math.ceil(wanted)
      const at = now()
      const refused = refusal(estimate, at)
      if (refused !== undefined) return refused
      running++
      const addedAt = { request: requests.add(1, at), tokens: tokens.add(estimate, at) }
      return { allowed: true, slot: slotOf(estimate, addedAt) }
    },
    learn(headers) {
      learnt.learn(headers)
    },
    load() {
      const at = now()
      if (learnt.emptyUntil() > at) return 1
      const shares = [
        requests.sum(at) / mostRequests(at),
        tokens.sum(at) / mostTokens(at),
        running / concurrency,
      ]
      return Math.min(1, Math.max(...shares))
    },
  }
}

/** Where in its windows a call was counted. */
interface Added {
  readonly request: number
  readonly tokens: number
}

const TOO_LARGE: Entry = { allowed: false, because: "too-large", until: undefined }
const CROWDED: Entry = { allowed: false, because: "concurrency", until: undefined }

function isTokens(amount: number | undefined): amount is number {
  return amount !== undefined && amount >= 0 && amount <= Number.MAX_SAFE_INTEGER
}

/** @throws ConfigError that names the field. */
export function checkTrafficLimit(limits: TrafficLimit, path: string): void {
  for (const name of ["requestsPerMinute", "tokensPerMinute", "concurrency"] as const) {
    const limit = limits[name]
    if (limit === undefined || (Number.isSafeInteger(limit) && limit > 0)) continue
    throw new ConfigError(
      `${path}.${name}`,
      `${limit} is not a limit`,
      "give a whole number of at least 1, or leave it out",
    )
  }
}
