import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { fiveFactor } from "../complexity/five-factor.ts"
import { validThresholds } from "../policy/thresholds.ts"
import type { DeploymentOptions } from "../route/router-options.ts"
import { RouterChatModel, type RouterChatModelFields } from "../router-chat-model.ts"
import type { Price } from "../spec/catalog.ts"
import type { Estimator } from "../spec/complexity.ts"
import { ConfigError } from "../spec/errors.ts"
import type { Tier } from "../spec/request.ts"
import { choosing } from "./choosing.ts"

/** A model to choose, and when to choose it. */
export interface Choice extends Omit<DeploymentOptions, "tier"> {
  /** In words, for the decider: "Greetings, small talk, facts that are stated in the question." */
  readonly criteria: string
}

export interface ChoiceOptions
  extends Omit<RouterChatModelFields, "deployments" | "tiers" | "thresholds" | "estimator" | "policy"> {
  /** By name, cheapest first: the names become the tiers. At least two. */
  readonly choices: Readonly<Record<string, Choice>>
  /** The chat model that reads the criteria and names a choice. A small one will do. */
  readonly decider: BaseChatModel
  /** What the decider charges. There is no default: say `"free"` if it is. */
  readonly deciderPrice: Price
  /** How long the decider may take, ms; then `otherwise` decides. Default 5,000. */
  readonly deciderTimeoutMs?: number | undefined
  /** Decides, on this machine, when the decider cannot. Default `fiveFactor()`. */
  readonly otherwise?: Estimator | undefined
}

const DEFAULT_DECIDER_TIMEOUT_MS = 5_000

/** The decider says one name; a model that reasons first says more. Tokens. */
const DECIDER_MAX_OUTPUT_TOKENS = 256

/**
 * A router whose tiers are the choices and whose estimator is the decider: it scores a request with the middle of the
 * chosen tier's band, so that bounds, preference, escalation and budgets work as in any router.
 *
 * @throws ConfigError naming the choice and the fix.
 */
export function routerOfChoices(options: ChoiceOptions): RouterChatModel {
  // The rest goes to the router, which refuses what it does not know; the step's own options are none of its business.
  const { choices, decider, deciderPrice, deciderTimeoutMs, otherwise, ...rest } = withoutStepOptions(options)
  const tiers = Object.keys(choices)
  if (tiers.length < 2) {
    throw new ConfigError("choices", `there is a choice among ${tiers.length}`, "give at least two")
  }
  const thresholds = validThresholds(tiers, undefined)
  return new RouterChatModel({
    ...rest,
    tiers,
    thresholds,
    deployments: Object.entries(choices).map(([tier, choice]) => deploymentFrom(tier, choice)),
    estimator: choosing({
      criteria: Object.fromEntries(Object.entries(choices).map(([name, { criteria }]) => [name, criteria])),
      thresholds,
      decider: deciderFrom(decider, deciderPrice, deciderTimeoutMs, rest.budget),
      otherwise: otherwise ?? fiveFactor(),
    }),
  })
}

function deploymentFrom(tier: Tier, choice: Choice): DeploymentOptions {
  const { criteria, ...deployment } = choice
  if (typeof criteria !== "string" || criteria.trim() === "") {
    throw new ConfigError(`choices.${tier}.criteria`, "it is empty", "say in words when to choose it")
  }
  if ((deployment.price as Price | undefined) === undefined) throw priceUnknown(`choices.${tier}.price`)
  return { ...deployment, tier }
}

const STEP_OPTIONS = ["agentSpec", "steps", "stateSchema", "contextSchema", "taskTypeOf", "hintsOf"]

function withoutStepOptions(options: ChoiceOptions): ChoiceOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([name]) => !STEP_OPTIONS.includes(name)),
  ) as unknown as ChoiceOptions
}

/** The decider's money is held and metered like anybody's: it is a router with one model, and no second try. */
function deciderFrom(
  model: BaseChatModel,
  price: Price | undefined,
  attemptTimeoutMs: number = DEFAULT_DECIDER_TIMEOUT_MS,
  budget: RouterChatModelFields["budget"],
): RouterChatModel {
  if (price === undefined) throw priceUnknown("deciderPrice")
  return new RouterChatModel({
    tiers: ["decider"],
    deployments: [{ id: "decider", tier: "decider", model, price }],
    routing: false,
    maxOutputTokens: DECIDER_MAX_OUTPUT_TOKENS,
    maxRetries: 0,
    attemptTimeoutMs,
    budget,
  })
}

function priceUnknown(path: string): ConfigError {
  const fix = 'give inputPerMTok and outputPerMTok in USD, a costWeight, a perGpuSecond, or say "free"'
  return new ConfigError(path, "the price is unknown", fix)
}
