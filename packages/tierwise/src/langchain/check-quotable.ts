import { InvalidRequestError } from "../spec/errors.ts"

type Options = Readonly<Record<string, unknown>>

/** Tiers of service that cost no more than the listed price: OpenAI's, Anthropic's, Groq's. */
const NO_DEARER: ReadonlySet<unknown> = new Set([
  "auto",
  "default",
  "standard_only",
  "on_demand",
  "flex",
  "scale",
])

/** What an option may say without raising the price, by its name. */
const NO_DEARER_BY_OPTION: readonly (readonly [name: string, harmless: ReadonlySet<unknown>])[] = [
  ["service_tier", NO_DEARER],
  // Anthropic bills a fixed region at 1.1 times the list price (since Opus 4.6 and Sonnet 4.6).
  ["inferenceGeo", new Set(["global"])],
  ["inference_geo", new Set(["global"])],
]

/**
 * Refuses a call whose options raise it above its deployment's price (OpenAI's `priority`, Anthropic's regions): the
 * hold would be too small, and the cost too low.
 * @throws InvalidRequestError
 */
export function checkNoDearer(options: Options): void {
  for (const [name, harmless] of NO_DEARER_BY_OPTION) {
    const said = options[name]
    if (said === undefined || said === null || harmless.has(said)) continue
    throw new InvalidRequestError(
      name,
      `${JSON.stringify(said)} may be billed above the deployment's price`,
      "give a deployment a model that is built with it, and a price with its multiplier",
    )
  }
}

/** Options of OpenAI's Responses API that name what its server keeps. */
const KEPT_BY_PROVIDER: readonly string[] = ["previous_response_id", "conversation"]

/**
 * Refuses a call that goes on from what a provider keeps: that is billed as input, and nobody here can count it; and of all
 * candidates one at most has it.
 * @throws InvalidRequestError
 */
export function checkAllIsSent(options: Options): void {
  for (const name of KEPT_BY_PROVIDER) {
    if (options[name] === undefined || options[name] === null) continue
    throw new InvalidRequestError(
      name,
      "what the provider keeps is billed as input, and cannot be counted before the call",
      "send the earlier messages themselves",
    )
  }
}
