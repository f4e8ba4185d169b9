import { InvalidRequestError } from "../spec/errors.ts"

/** Tiers of service that cost no more than the listed price: OpenAI's, Anthropic's, Groq's. */
const NO_DEARER: ReadonlySet<unknown> = new Set([
  "auto",
  "default",
  "standard_only",
  "on_demand",
  "flex",
  "scale",
])

/**
 * Refuses a call whose own options ask for a tier of service that may be billed above its deployment's price (OpenAI's
 * `priority`): the hold would be too small, and the cost too low.
 * @throws InvalidRequestError
 */
export function checkServiceTier({ service_tier }: Readonly<Record<string, unknown>>): void {
  if (service_tier === undefined || service_tier === null || NO_DEARER.has(service_tier)) return
  throw new InvalidRequestError(
    "service_tier",
    `${JSON.stringify(service_tier)} may be billed above the deployment's price`,
    "give a deployment a model that is built with it, and a price with its multiplier",
  )
}
