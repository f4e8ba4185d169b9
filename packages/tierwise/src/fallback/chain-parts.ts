import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { Runnable } from "@langchain/core/runnables"
import type { DispatchCandidate, DispatchSettings } from "../dispatch/dispatch-options.ts"
import { handlingFrom } from "../dispatch/failures/failure-handling.ts"
import { pause } from "../dispatch/pause.ts"
import { PROCESS_RETRY_BUDGET } from "../dispatch/retry-budget.ts"
import { checkedRetries } from "../langchain/read-call.ts"
import { ConfigError, InvalidRequestError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
import { chatModelOf } from "./bound-models.ts"
import type { FallbackChainFields, FallbackLink, FallbackSettings } from "./options.ts"

/** A link that has been checked. */
export interface Link<Input, Output> extends DispatchCandidate {
  readonly runnable: Runnable<Input, Output>
  /** The chat model it is, or that it binds options to. */
  readonly model: BaseChatModel | undefined
  /** The chat model that answers under a schema, where the link itself is none any more. */
  readonly under?: BaseChatModel | undefined
  /** True if a provider's package answers: its odd errors are the provider's, and its own retries are switched off. */
  readonly isProvider: boolean
}

/** What a chain is made of. Plain values: binding something makes new ones. */
export interface ChainParts<Input, Output> {
  readonly links: readonly Link<Input, Output>[]
  readonly settings: DispatchSettings
}

/** @throws ConfigError for an empty chain, a link that is no Runnable, an id given twice, or a setting that cannot be. */
export function readFields<Input, Output>(
  fields: FallbackChainFields<Input, Output>,
): ChainParts<Input, Output> {
  const links = linksFrom((fields as Partial<typeof fields> | undefined)?.links as typeof fields.links)
  return { links, settings: settingsFrom(fields, links.length) }
}

function linksFrom<Input, Output>(
  given: readonly FallbackLink<Input, Output>[],
): readonly Link<Input, Output>[] {
  if ((given as unknown) === undefined || typeof given.map !== "function") {
    throw new ConfigError("links", "it is not a list", "give { links: [{ tier, runnable }, …] }")
  }
  if (given.length === 0) throw new ConfigError("links", "the chain is empty", "give at least one link")
  const links = given.map(({ id, tier, runnable }, index) => {
    if (typeof (runnable as Partial<typeof runnable> | undefined)?.invoke !== "function") {
      throw new ConfigError(linkPath(index), "it is not a Runnable", "give a chat model or another Runnable")
    }
    const sameTier = given.slice(0, index).filter((link) => link.tier === tier).length
    const deploymentId = id ?? (sameTier === 0 ? tier : `${tier}-${sameTier + 1}`)
    const model = chatModelOf(runnable)
    return { deploymentId, tier, runnable, model, isProvider: model !== undefined }
  })
  const ids = links.map(({ deploymentId }) => deploymentId)
  const twice = ids.findIndex((id, index) => ids.indexOf(id) !== index)
  if (twice === -1) return links
  throw new ConfigError(`links[${twice}].id`, `"${ids[twice]}" is there twice`, "give each link its own id")
}

/** Where a link stands, for errors. */
export function linkPath(index: number): string {
  return `links[${index}].runnable`
}

function settingsFrom(fields: FallbackSettings, links: number): DispatchSettings {
  return {
    maxFallbackAttempts: validCount(fields.maxFallbackAttempts ?? links, "maxFallbackAttempts"),
    maxRetries: validCount(fields.maxRetries ?? 2, "maxRetries"),
    retryBaseMs: validMs(fields.retryBaseMs ?? 250, "retryBaseMs", 0),
    attemptTimeoutMs: validTimeout(fields.attemptTimeoutMs, "attemptTimeoutMs"),
    stallTimeoutMs: validTimeout(fields.stallTimeoutMs, "stallTimeoutMs"),
    retryBudget: fields.retryBudget ?? PROCESS_RETRY_BUDGET,
    handling: handlingFrom(fields.failureHandling),
    now: Date.now,
    random: Math.random,
    pause,
  }
}

function validCount(value: number, name: string): number {
  if (isCount(value)) return value
  throw new ConfigError(name, `${value} is not a number of attempts`, "give a whole number, 0 or more")
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0
}

function validTimeout(value: number | undefined, name: string): number | undefined {
  return value === undefined ? undefined : validMs(value, name, 1)
}

function validMs(value: number, name: string, least: number): number {
  if (value >= least && value < 2 ** 31) return value
  throw new ConfigError(
    name,
    `${value} is not a duration`,
    `give milliseconds, at least ${least} and less than 2^31`,
  )
}

/** The settings of one call. @throws InvalidRequestError if its `maxRetries` is no number of tries. */
export function settingsOf(settings: DispatchSettings, maxRetries: unknown): DispatchSettings {
  const own = checkedRetries(maxRetries)
  return own === undefined ? settings : { ...settings, maxRetries: own }
}

/** The preferred tier, then those above it, then those below, nearest first. */
export function startingAt<L extends DispatchCandidate>(
  links: readonly L[],
  preferred: Tier | undefined,
): readonly L[] {
  if (preferred === undefined) return links
  const tiers = [...new Set(links.map(({ tier }) => tier))]
  const from = tiers.indexOf(preferred)
  if (from !== -1) {
    const order = [...tiers.slice(from), ...tiers.slice(0, from).reverse()]
    return order.flatMap((tier) => links.filter((link) => link.tier === tier))
  }
  const known = tiers.join(", ")
  throw new InvalidRequestError(
    "preferredTier",
    `"${preferred}" is not a tier of this chain`,
    `use one of ${known}`,
  )
}
