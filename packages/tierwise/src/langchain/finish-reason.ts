import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { CallbackManager } from "@langchain/core/callbacks/manager"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { LLMResult } from "@langchain/core/outputs"
import type { Piece } from "./piece.ts"

/** Where packages say why an answer ended: OpenAI, Mistral, Groq; Anthropic; Ollama; Google; Bedrock. */
const NAMES = ["finish_reason", "stop_reason", "done_reason", "finishReason", "stopReason"] as const

/** OpenAI's Responses API has a status instead. */
const ENDED: ReadonlySet<unknown> = new Set(["completed", "incomplete"])

/** Packages (`_llmType`) that say it of every whole answer, checked with their own payloads. */
const KNOWN: ReadonlySet<string> = new Set(["openai", "anthropic", "ollama"])

/** Tells an answer that is whole from one that was cut off where nobody said so. */
export interface FinishReasons {
  /** True where the answer may be taken as whole: it says why it ended, or its model does not say such things. */
  isWhole(model: BaseChatModel, piece: Piece): boolean
}

/**
 * Of known packages every answer must say why it ended; of others, all those after the first that did.
 *
 * @param declared What users have said of their deployments' models.
 */
export function finishReasons(declared: ReadonlyMap<BaseChatModel, boolean>): FinishReasons {
  const learnt = new WeakSet<BaseChatModel>()
  return {
    isWhole(model, piece) {
      if (saysWhy(piece)) {
        if (!learnt.has(model)) learnt.add(model)
        return true
      }
      return !(declared.get(model) ?? (isKnown(model) || learnt.has(model)))
    },
  }
}

/**
 * The same callbacks, and a call when a run that ends has said why, unless a filter cut its answer off. Where a handler has
 * `invoke` stream, LangChain leaves the reason beside the message, and only handlers are told.
 */
export function whenSaidWhy(callbacks: CallbackManager, onReason: () => void): CallbackManager {
  const copy = callbacks.copy()
  copy.addHandler(new EndWatch(onReason), true)
  return copy
}

/** OpenAI's, for words that were left out. Nobody who has the message alone would know. */
const FILTERED = "content_filter"

class EndWatch extends BaseCallbackHandler {
  override readonly name = "tierwise-end-watch"

  private readonly onReason: () => void

  constructor(onReason: () => void) {
    super({ _awaitHandler: true })
    this.onReason = onReason
  }

  override handleLLMEnd({ generations }: LLMResult): void {
    const beside = generations[0]?.[0]?.generationInfo ?? {}
    if (NAMES.some((name) => isReason(beside[name]) && beside[name] !== FILTERED)) this.onReason()
  }
}

function isKnown(model: BaseChatModel): boolean {
  const { _llmType: type } = model as { _llmType?: () => string }
  return type !== undefined && KNOWN.has(type.call(model))
}

/** Words that do not parse, and an answer that a package threw away, have been judged already. */
function saysWhy({ message, parseError, unseen }: Piece): boolean {
  if (parseError !== undefined || unseen === true) return true
  const { response_metadata: told, additional_kwargs: beside } = message
  return NAMES.some((name) => isReason(told[name]) || isReason(beside[name])) || ENDED.has(told["status"])
}

function isReason(value: unknown): boolean {
  return typeof value === "string" && value !== ""
}
