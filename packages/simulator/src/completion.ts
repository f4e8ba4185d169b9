import { hash } from "node:crypto"
import { type Choice, choiceOf, interleaved, type Piece } from "./answer.ts"
import { type BilledTokens, chargesCacheWrites } from "./invoice.ts"
import type { SimulatedModel } from "./models.ts"
import { type ChatRequest, type JsonObject, type ReasoningEffort, WireError } from "./protocol.ts"
import { think } from "./think.ts"

/** An answer that is ready to be generated: everything about it is decided but the time. */
export interface Completion {
  readonly choices: readonly Choice[]
  readonly pieces: readonly Piece[]
}

export interface CompletionOptions {
  readonly seed: number
  /** Input tokens. */
  readonly inputTokens: number
  /** Said instead of thinking. */
  readonly scripted?: string | undefined
}

/** @throws WireError 400 if the prompt, or the prompt with the output that is asked for, does not fit the model. */
export function completionOf(
  request: ChatRequest,
  model: SimulatedModel,
  options: CompletionOptions,
): Completion {
  const maxTokens = outputLimit(request, model, options.inputTokens)
  const reasoningTokens = reasoningOf(request, model)
  const key = hash("sha256", JSON.stringify([options.seed, model.id, request.messages, request.seed]))
  const choices = Array.from({ length: request.n ?? 1 }, (_, index) => {
    const reply =
      options.scripted === undefined
        ? think(request, model, { seed: options.seed, choice: index })
        : { kind: "text" as const, text: options.scripted }
    return choiceOf(reply, request, { index, maxTokens, reasoningTokens, key })
  })
  return { choices, pieces: interleaved(choices) }
}

/** OpenAI's usage object. Cache writes are reported by models that charge for them. */
export function usageOf(billed: BilledTokens, model: SimulatedModel): JsonObject {
  const { inputTokens, outputTokens } = billed
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: {
      cached_tokens: billed.cachedInputTokens,
      ...(chargesCacheWrites(model.price) ? { cache_write_tokens: billed.cacheWriteTokens } : {}),
      audio_tokens: 0,
    },
    completion_tokens_details: {
      reasoning_tokens: billed.reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}

/** How much longer a model thinks when it is asked to. OpenAI publishes no figures; these are this simulator's. */
const EFFORT: Readonly<Record<ReasoningEffort, number>> = {
  none: 0,
  minimal: 0.125,
  low: 0.5,
  medium: 1,
  high: 2,
  xhigh: 4,
  max: 8,
}

function reasoningOf(request: ChatRequest, { reasoningTokens = 0 }: SimulatedModel): number {
  return Math.ceil(reasoningTokens * EFFORT[request.reasoning_effort ?? "medium"])
}

function outputLimit(request: ChatRequest, model: SimulatedModel, inputTokens: number): number {
  const asked = request.max_completion_tokens ?? request.max_tokens ?? undefined
  const param = request.max_completion_tokens == null ? "max_tokens" : "max_completion_tokens"
  const { contextWindow, maxOutputTokens } = model
  if (inputTokens >= contextWindow) {
    throw overflow(
      `This model's maximum context length is ${contextWindow} tokens. However, your messages resulted in ` +
        `${inputTokens} tokens. Please reduce the length of the messages.`,
    )
  }
  if (asked === undefined) return Math.min(maxOutputTokens, contextWindow - inputTokens)
  if (asked > maxOutputTokens) {
    throw new WireError(
      400,
      `${param} is too large: ${asked}. This model supports at most ${maxOutputTokens} completion tokens, whereas you ` +
        `provided ${asked}.`,
      { param, code: "invalid_value" },
    )
  }
  if (inputTokens + asked > contextWindow) {
    throw overflow(
      `This model's maximum context length is ${contextWindow} tokens. However, you requested ${inputTokens + asked} ` +
        `tokens (${inputTokens} in the messages, ${asked} in the completion). Please reduce the length of the messages ` +
        "or completion.",
    )
  }
  return asked
}

function overflow(message: string): WireError {
  return new WireError(400, message, { param: "messages", code: "context_length_exceeded" })
}
