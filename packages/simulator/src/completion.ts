import { hash } from "node:crypto"
import { type Choice, choiceOf, interleaved, type Piece } from "./answer.ts"
import type { SimulatedModel } from "./models.ts"
import { type ChatRequest, type JsonObject, WireError } from "./protocol.ts"
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
  const key = hash("sha256", JSON.stringify([options.seed, model.id, request.messages, request.seed]))
  const choices = Array.from({ length: request.n ?? 1 }, (_, index) => {
    const reply =
      options.scripted === undefined
        ? think(request, model, { seed: options.seed, choice: index })
        : { kind: "text" as const, text: options.scripted }
    return choiceOf(reply, request, { index, maxTokens, key })
  })
  return { choices, pieces: interleaved(choices) }
}

/** OpenAI's usage object. */
export function usageOf(inputTokens: number, cachedInputTokens: number, outputTokens: number): JsonObject {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cachedInputTokens, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
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
