import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { Callbacks } from "@langchain/core/callbacks/manager"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { AIMessage, AIMessageChunk, BaseMessage } from "@langchain/core/messages"
import type { ChatGeneration, LLMResult } from "@langchain/core/outputs"
import type { Piece } from "./piece.ts"

/** Where packages say why an answer ended: OpenAI, Mistral, Groq; Anthropic; Ollama; Google; Bedrock. */
const NAMES = ["finish_reason", "stop_reason", "done_reason", "finishReason", "stopReason"] as const

/** OpenAI's Responses API has a status instead. */
const ENDED: ReadonlySet<unknown> = new Set(["completed", "incomplete"])

/** Packages (`_llmType`) that say it of every whole answer, checked with their own payloads. */
const KNOWN: ReadonlySet<string> = new Set(["openai", "anthropic", "ollama"])

/** Our own: they have judged each answer by whose it is, some of which may say why they ended. */
const JUDGES: ReadonlySet<string> = new Set(["tierwise", "tierwise-fallback"])

/** Tells an answer that is whole from one that was cut off where nobody said so. */
export interface FinishReasons {
  /** True where the answer may be taken as whole: it says why it ended, or its model does not say such things. */
  isWhole(model: BaseChatModel, piece: Piece): boolean
  /** The same for an answer of which a handler knows whether its run has said so. */
  mayEnd(model: BaseChatModel, saidWhy: boolean): boolean
}

/**
 * Of known packages every answer must say why it ended; of others, all those after the first that did. Routers and chains of
 * ours are believed.
 *
 * @param declared What users have said of their deployments' models.
 */
export function finishReasons(declared: Pick<ReadonlyMap<BaseChatModel, boolean>, "get">): FinishReasons {
  const learnt = new WeakSet<BaseChatModel>()
  const mayEnd = (model: BaseChatModel, saidWhy: boolean): boolean => {
    if (saidWhy) {
      if (!learnt.has(model)) learnt.add(model)
      return true
    }
    return !(declared.get(model) ?? (isAmong(KNOWN, model) || (learnt.has(model) && !isAmong(JUDGES, model))))
  }
  return { isWhole: (model, piece) => mayEnd(model, saysWhy(piece)), mayEnd }
}

/**
 * The same callbacks, and a call when a run that ends has said why, or when its answer comes out of the model's own cache; not
 * where a filter cut it off in the middle of a tool call, of which LangChain makes a whole one out of what there is.
 *
 * Where a handler has `invoke` stream, LangChain leaves the reason beside the message, and only handlers are told: it is put
 * into the message, so that whoever asked can tell an answer that a filter or its length cut off.
 */
export function whenSaidWhy(callbacks: Callbacks | undefined, onReason: () => void): Callbacks {
  const watch = new EndWatch(onReason)
  if (callbacks === undefined || Array.isArray(callbacks)) return [...(callbacks ?? []), watch]
  const copy = callbacks.copy()
  copy.addHandler(watch, true)
  return copy
}

class EndWatch extends BaseCallbackHandler {
  override readonly name = "tierwise-end-watch"

  private readonly onReason: () => void

  constructor(onReason: () => void) {
    super({ _awaitHandler: true })
    this.onReason = onReason
  }

  override handleLLMEnd({ generations }: LLMResult, ...more: unknown[]): void {
    const generation = generations[0]?.[0] as Partial<ChatGeneration> | undefined
    const { cached } = (more[3] ?? {}) as { readonly cached?: boolean }
    if (cached === true || tellsWhy(generation)) this.onReason()
  }
}

function tellsWhy({ generationInfo: beside = {}, message }: Partial<ChatGeneration> = {}): boolean {
  const name = NAMES.find((one) => isReason(beside[one]))
  if (message === undefined) return name !== undefined
  if (name !== undefined) {
    if (beside[name] === FILTERED && hasHalfCall(message)) return false
    message.response_metadata[name] ??= beside[name] as string
  }
  return saysWhy({ message: message as AIMessage })
}

/** OpenAI's, for words that were left out. */
const FILTERED = "content_filter"

function hasHalfCall(message: BaseMessage): boolean {
  const { tool_call_chunks: calls = [] } = message as Partial<AIMessageChunk>
  return calls.some(({ args }) => !isJson(args ?? ""))
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function isAmong(types: ReadonlySet<string>, model: BaseChatModel): boolean {
  const { _llmType: type } = model as { _llmType?: () => string }
  return type !== undefined && types.has(type.call(model))
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
