import {
  type BaseMessage,
  type BaseMessageLike,
  coerceMessageLikeToMessage,
  HumanMessage,
  isBaseMessage,
} from "@langchain/core/messages"
import type { BasePromptValueInterface } from "@langchain/core/prompt_values"
import { Runnable, type RunnableConfig } from "@langchain/core/runnables"
import { fiveFactor } from "./complexity/five-factor.ts"
import { readFeatures } from "./features/read-features.ts"
import { tierForScore, validThresholds } from "./policy/thresholds.ts"
import type { ComplexityEstimate, Estimator, EstimatorInput } from "./spec/complexity.ts"
import { ConfigError, InvalidRequestError } from "./spec/errors.ts"
import type { RouteHints, RouteRequest, Tier } from "./spec/request.ts"

/** A message with what the caller knows about it (row E1). */
export interface ComplexityQuestion
  extends Pick<RouteHints, "contextLength" | "capabilities" | "taskType" | "attributes"> {
  readonly message: string | BaseMessage
  /** Human turns before this one, ≥ 0. Default 0. */
  readonly historyLength?: number | undefined
}

/** A text, a conversation in any form LangChain takes, a prompt's value, or a message with its circumstances. */
export type ComplexityEstimatorInput =
  | string
  | readonly BaseMessageLike[]
  | BasePromptValueInterface
  | ComplexityQuestion

export interface ComplexityResult extends ComplexityEstimate {
  /** The recommended tier. */
  readonly tier: Tier
}

export interface ComplexityEstimatorOptions {
  /** Default: `fiveFactor()`. */
  readonly estimator?: Estimator | undefined
  /** Cheapest first. Default: light, standard, heavy. */
  readonly tiers?: readonly Tier[] | undefined
  /**
   * Scores between the tiers; each belongs to the tier above it. Default: 0.3 and 0.7 for three tiers, even steps for
   * any other number.
   */
  readonly thresholds?: readonly number[] | undefined
}

const DEFAULT_TIERS: readonly Tier[] = ["light", "standard", "heavy"]

/**
 * Any estimator as a Runnable: a message or a conversation in, score, confidence, factors and the recommended tier
 * out. It works in a chain, is traced as a run of its own and calls no model.
 * @throws ConfigError for thresholds that do not fit the tiers, when it is built.
 * @throws InvalidRequestError naming the field, when it is invoked with something it cannot read.
 */
export class ComplexityEstimator extends Runnable<ComplexityEstimatorInput, ComplexityResult> {
  static override lc_name(): string {
    return "ComplexityEstimator"
  }

  override lc_namespace: string[] = ["tierwise"]

  readonly #estimator: Estimator
  readonly #tiers: readonly Tier[]
  readonly #thresholds: readonly number[]

  constructor(options: ComplexityEstimatorOptions = {}) {
    super()
    this.#estimator = options.estimator ?? fiveFactor()
    this.#tiers = validTiers(options.tiers ?? DEFAULT_TIERS)
    this.#thresholds = validThresholds(this.#tiers, options.thresholds)
  }

  override async invoke(
    input: ComplexityEstimatorInput,
    options?: Partial<RunnableConfig>,
  ): Promise<ComplexityResult> {
    return this._callWithConfig((question: ComplexityEstimatorInput) => this.#judge(question), input, options)
  }

  async #judge(input: ComplexityEstimatorInput): Promise<ComplexityResult> {
    const estimate = await this.#estimator.estimate(estimatorInput(input))
    return { ...estimate, tier: tierForScore(estimate.score, this.#tiers, this.#thresholds) }
  }
}

function validTiers(tiers: readonly Tier[]): readonly Tier[] {
  if (tiers.length === 0) throw new ConfigError("tiers", "the list is empty", "name at least one tier")
  const repeated = tiers.find((tier, index) => tiers.indexOf(tier) !== index)
  if (repeated === undefined) return tiers
  throw new ConfigError("tiers", `"${repeated}" is there twice`, "give each tier a name of its own")
}

function estimatorInput(input: ComplexityEstimatorInput): EstimatorInput {
  if (typeof input === "string") return read({ messages: [new HumanMessage(input)] })
  if (Array.isArray(input)) return read({ messages: messagesOf(input) })
  if (isPromptValue(input)) return read({ messages: input.toChatMessages() })
  if (isQuestion(input)) return readQuestion(input)
  throw new InvalidRequestError("input", "there is no message in it", "pass a text, messages, or { message }")
}

function isPromptValue(input: unknown): input is BasePromptValueInterface {
  return isObject(input) && typeof input["toChatMessages"] === "function"
}

function isQuestion(input: unknown): input is ComplexityQuestion {
  return isObject(input) && "message" in input
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null
}

function messagesOf(likes: readonly BaseMessageLike[]): readonly BaseMessage[] {
  if (likes.length === 0) {
    throw new InvalidRequestError("messages", "the conversation is empty", "pass at least one message")
  }
  return likes.map((like, index) => {
    try {
      return coerceMessageLikeToMessage(like)
    } catch {
      const fix = "pass a message, a text, or [role, text]"
      throw new InvalidRequestError(`messages[${index}]`, "it is no message", fix)
    }
  })
}

function readQuestion(question: ComplexityQuestion): EstimatorInput {
  const { historyLength = 0, contextLength, capabilities, taskType, attributes } = question
  requireCount(historyLength, "historyLength")
  if (contextLength !== undefined) requireCount(contextLength, "contextLength")
  if (capabilities !== undefined) requireTexts(capabilities, "capabilities")
  const messages = [messageOf(question.message)]
  const { features, ...rest } = read({ messages, contextLength, capabilities, taskType, attributes })
  return { ...rest, features: { ...features, turns: historyLength + 1 } }
}

function messageOf(message: unknown): BaseMessage {
  if (typeof message === "string") return new HumanMessage(message)
  if (isBaseMessage(message)) return message
  throw new InvalidRequestError("message", `it cannot be ${typeof message}`, "pass a text or a human message")
}

function requireCount(value: unknown, path: string): void {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return
  throw new InvalidRequestError(path, `${String(value)} is not a count`, "pass a number from 0 on")
}

function requireTexts(value: unknown, path: string): void {
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return
  throw new InvalidRequestError(path, "it is not a list of names", 'pass names, e.g. ["security_analysis"]')
}

function read(request: RouteRequest): EstimatorInput {
  return { ...readFeatures(request), request }
}
