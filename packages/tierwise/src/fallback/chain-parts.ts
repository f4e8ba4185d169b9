import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { Runnable } from "@langchain/core/runnables"
import type { DispatchCandidate, DispatchSettings } from "../dispatch/dispatch-options.ts"
import { handlingFrom } from "../dispatch/failures/failure-handling.ts"
import { type Gatekeeper, gatekeeper } from "../dispatch/gatekeeper.ts"
import { ownHealth } from "../dispatch/health/own-health.ts"
import { pause } from "../dispatch/pause.ts"
import { PROCESS_RETRY_BUDGET } from "../dispatch/retry-budget.ts"
import { type FinishReasons, finishReasons } from "../langchain/finish-reason.ts"
import { checkedRetries } from "../langchain/read-call.ts"
import { checkDeadline } from "../route/check-request.ts"
import { ConfigError, InvalidRequestError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
import { chatModelOf } from "./bound-models.ts"
import { checkFields } from "./check-fields.ts"
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

/** What a chain is made of. Plain values: binding something makes new ones. What has state is shared by them all. */
export interface ChainParts<Input, Output> {
  readonly links: readonly Link<Input, Output>[]
  readonly settings: DispatchSettings
  /** Who may be called now. */
  readonly gate: Gatekeeper
  readonly finishReasons: FinishReasons
  /** For a whole call, ms; undefined: no limit. */
  readonly deadlineMs: number | undefined
}

/** @throws ConfigError for an empty chain, a link that is no Runnable, an id given twice, or a setting that cannot be. */
export function readFields<Input, Output>(
  fields: FallbackChainFields<Input, Output>,
): ChainParts<Input, Output> {
  checkFields(fields)
  const links = linksFrom(fields.links)
  const settings = settingsFrom(fields, links.length)
  const { circuitBreaker, health, deadlineMs } = fields
  const { handling, now, random } = settings
  const book = ownHealth({ circuitBreaker, health, now, random })
  return {
    links,
    settings,
    gate: gatekeeper({ health: book, handling, limits: new Map(), stats: undefined, now }),
    finishReasons: finishReasons(saidOfModels(fields.links, links)),
    deadlineMs,
  }
}

function linksFrom<Input, Output>(
  given: readonly FallbackLink<Input, Output>[],
): readonly Link<Input, Output>[] {
  const links = given.map(({ id, tier, runnable }, index) => {
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

function saidOfModels(
  given: readonly FallbackLink<never, unknown>[],
  links: readonly Link<never, unknown>[],
): ReadonlyMap<BaseChatModel, boolean> {
  const said = new Map<BaseChatModel, boolean>()
  for (const [index, { reportsFinishReason }] of given.entries()) {
    if (reportsFinishReason === undefined) continue
    const model = links[index]?.model
    if (model === undefined) {
      const fix = "leave it out: finish reasons are a chat model's"
      throw new ConfigError(`links[${index}].reportsFinishReason`, "the link is no chat model", fix)
    }
    said.set(model, reportsFinishReason)
  }
  return said
}

/** Where a link stands, for errors. */
export function linkPath(index: number): string {
  return `links[${index}].runnable`
}

function settingsFrom(fields: FallbackSettings, links: number): DispatchSettings {
  return {
    maxFallbackAttempts: fields.maxFallbackAttempts ?? links,
    maxRetries: fields.maxRetries ?? 2,
    retryBaseMs: fields.retryBaseMs ?? 250,
    attemptTimeoutMs: fields.attemptTimeoutMs,
    stallTimeoutMs: fields.stallTimeoutMs,
    retryBudget: fields.retryBudget ?? PROCESS_RETRY_BUDGET,
    handling: handlingFrom(fields.failureHandling),
    now: fields.now ?? Date.now,
    random: fields.random ?? Math.random,
    pause,
  }
}

/** The settings of one call. @throws InvalidRequestError if its `maxRetries` is no number of tries. */
export function settingsOf(settings: DispatchSettings, maxRetries: unknown): DispatchSettings {
  const own = checkedRetries(maxRetries)
  return own === undefined ? settings : { ...settings, maxRetries: own }
}

/** What one call may take, ms; undefined: no limit. @throws InvalidRequestError if its own `deadlineMs` is no duration. */
export function deadlineOf(
  parts: { readonly deadlineMs: number | undefined },
  own: unknown,
): number | undefined {
  checkDeadline(own)
  return own ?? parts.deadlineMs
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
