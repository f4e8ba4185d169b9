import type { Callbacks } from "@langchain/core/callbacks/manager"
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base"
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type LangSmithParams,
} from "@langchain/core/language_models/chat_models"
import type { ModelProfile } from "@langchain/core/language_models/profile"
import type { AIMessage, AIMessageChunk, BaseMessage, MessageContent } from "@langchain/core/messages"
import { ChatGenerationChunk, type ChatResult, type LLMResult } from "@langchain/core/outputs"
import type { RunnableConfig } from "@langchain/core/runnables"
import type { IterableReadableStream } from "@langchain/core/utils/stream"
import { readFeatures } from "./features/read-features.ts"
import { breakBehind } from "./langchain/is-restart.ts"
import { mergeOptions } from "./langchain/read-call.ts"
import { sharedProfile } from "./langchain/shared-profile.ts"
import { leavableStream } from "./langchain/stream-from.ts"
import { estimateTokens } from "./tokens/estimate-tokens.ts"

/**
 * A chat model made of other models. A subclass says how one call is answered, whole (`invoke`) and in pieces
 * (`_streamIterator`), under a run of its own; every other way in which LangChain calls a chat model leads to these two.
 */
export abstract class CompositeChatModel<
  CallOptions extends BaseChatModelCallOptions,
> extends BaseChatModel<CallOptions> {
  /** Options bound with `withConfig` and `bindTools`. */
  protected defaultOptions: Partial<CallOptions> = {}

  abstract override invoke(
    input: BaseLanguageModelInput,
    options?: Partial<CallOptions>,
  ): Promise<AIMessageChunk>

  abstract override _streamIterator(
    input: BaseLanguageModelInput,
    options?: Partial<CallOptions>,
  ): AsyncGenerator<AIMessageChunk>

  /** Of the models it is made of. */
  protected abstract profiles(): readonly ModelProfile[]

  /** What every one of its models can keep. Agents choose by it, and must not be promised what the next one may lack. */
  override get profile(): ModelProfile {
    return sharedProfile(this.profiles())
  }

  /** An estimate, made here: within a few percent on prose and code, up to a fifth too many on Chinese. */
  override async getNumTokens(content: MessageContent): Promise<number> {
    if (typeof content === "string") return estimateTokens(content)
    return estimateTokens(content.map((block) => ("text" in block ? String(block["text"]) : "")).join(""))
  }

  /** The likely input tokens of a conversation, in the form of `ChatOpenAI`'s method of this name. */
  async getNumTokensFromMessages(
    messages: BaseMessage[],
  ): Promise<{ totalCount: number; countPerMessage: number[] }> {
    const tokensOf = (of: readonly BaseMessage[]) => readFeatures({ messages: of }).features.inputTokens
    const nothing = tokensOf([])
    const countPerMessage = messages.map((message) => tokensOf([message]) - nothing)
    return { totalCount: countPerMessage.reduce((sum, count) => sum + count, nothing), countPerMessage }
  }

  /** A clone with these options; tags, metadata and callbacks are added to those it has. */
  override withConfig(config: Partial<CallOptions>): this {
    const clone = Object.assign(Object.create(Object.getPrototypeOf(this) as object) as this, this)
    clone.defaultOptions = mergeOptions(this.defaultOptions, config)
    return clone
  }

  /** Rejects, as LangChain's does, if the first chunk cannot be had; ends the call when its reader leaves. */
  override async stream(
    input: BaseLanguageModelInput,
    options?: Partial<CallOptions>,
  ): Promise<IterableReadableStream<AIMessageChunk>> {
    return leavableStream<AIMessageChunk, CallOptions>(options, (given) => this._streamIterator(input, given))
  }

  /** Each conversation is one call. */
  override async generate(
    messages: Parameters<BaseChatModel["generate"]>[0],
    options?: string[] | Partial<CallOptions>,
    callbacks?: Callbacks,
  ): Promise<LLMResult> {
    const given = Array.isArray(options) ? { stop: options } : options
    const config = { ...(callbacks !== undefined && { callbacks }), ...given } as Partial<CallOptions>
    const replies = await this.batch(messages, config)
    return { generations: replies.map((message) => [{ text: message.text, message }]) }
  }

  override async _generate(messages: BaseMessage[], options: this["ParsedCallOptions"]): Promise<ChatResult> {
    const message = (await this.invoke(messages, options as Partial<CallOptions>)) as unknown as AIMessage
    return { generations: [{ text: message.text, message }] }
  }

  /**
   * @throws StreamBrokenError where the answer begins anew: who joins these chunks, as `streamEvents` does, joins their text,
   * and takes nothing back.
   */
  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
  ): AsyncGenerator<ChatGenerationChunk> {
    for await (const message of this._streamIterator(messages, options as Partial<CallOptions>)) {
      const broken = breakBehind(message)
      if (broken !== undefined) throw broken
      yield new ChatGenerationChunk({ text: message.text, message })
    }
  }

  /**
   * LangChain's version-less `streamEvents` drops callbacks, tags and hints on its way to `_streamResponseChunks`, and its
   * runs are traced by nobody. A call of a composite keeps them.
   */
  protected override _separateRunnableConfigFromCallOptionsCompat(
    options?: Partial<CallOptions>,
  ): [RunnableConfig, this["ParsedCallOptions"]] {
    const [config] = this._separateRunnableConfigFromCallOptions(options)
    return [config, { ...options } as this["ParsedCallOptions"]]
  }

  /** What LangSmith is told of a model, for one that has several. */
  protected lsParams(
    name: string,
    options: this["ParsedCallOptions"],
    maxTokens: number | undefined,
  ): LangSmithParams {
    const { temperature, stop } = options as { temperature?: number; stop?: string[] }
    return {
      ls_provider: "tierwise",
      ls_model_name: name,
      ls_model_type: "chat",
      ls_temperature: temperature,
      ls_max_tokens: maxTokens,
      ls_stop: stop,
    } as LangSmithParams
  }
}
