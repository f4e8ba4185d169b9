import { ConfigError } from "../../spec/errors.ts"
import type { HeaderSource, HeardHeaders } from "../../spec/headers.ts"
import { listeners } from "../health/listeners.ts"
import type { TrafficLimits } from "./rate-limit.ts"

export interface ResponseHeadersOptions {
  /** What sends the requests. Default: `globalThis.fetch`, as it is at each request. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

/** A fetch whose responses others can hear of. */
export interface HeardFetch extends HeaderSource {
  /** For the model's package. Gives back the very response, unread, or the very error. */
  readonly fetch: typeof globalThis.fetch
}

/**
 * Lets a deployment learn from the headers of its model's answers, which LangChain's packages do not show: give its `fetch`
 * to the package and itself to the deployment.
 *
 * One for each model. Nobody can tell from a response whose limits it tells of, so share one only among deployments whose
 * calls the provider counts against the same limit.
 *
 * @throws ConfigError for a `fetch` that is no function.
 */
export function responseHeaders({ fetch }: ResponseHeadersOptions = {}): HeardFetch {
  if (fetch !== undefined && typeof fetch !== "function") {
    throw new ConfigError("fetch", "it is not a function", "give one like globalThis.fetch, or leave it out")
  }
  const { add, tell } = listeners<HeardHeaders>()
  return {
    async fetch(...request) {
      const response = await (fetch ?? globalThis.fetch)(...request)
      tell(response.headers)
      return response
    },
    listen: add,
  }
}

/**
 * Limits learn from what is heard, until they are told to stop or nobody has them any more: models often live longer than the
 * routers over them.
 *
 * @returns What ends it.
 */
export function learnFrom(source: HeaderSource, limits: Pick<TrafficLimits, "learn">): () => void {
  const known = new WeakRef(limits)
  const stop = source.listen((headers) => {
    const learner = known.deref()
    if (learner === undefined) stop()
    else learner.learn(headers)
  })
  return stop
}
