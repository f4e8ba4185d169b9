import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager"
import { BaseChatModel } from "@langchain/core/language_models/chat_models"
import {
  type AIMessage,
  type AIMessageChunk,
  type BaseMessage,
  convertToChunk,
} from "@langchain/core/messages"
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs"

/**
 * Says again what was answered before. As in LangChain's own cached calls a hit is an LLM run without usage, so that
 * handlers, streams of events and graphs show it like any other answer.
 */
export class RecalledModel extends BaseChatModel {
  private readonly message: AIMessage

  static override lc_name(): string {
    return "RecalledModel"
  }

  constructor(message: AIMessage) {
    super({})
    this.message = message
  }

  override _llmType(): string {
    return "tierwise-recalled"
  }

  override async _generate(): Promise<ChatResult> {
    return { generations: [{ text: this.message.text, message: this.message }] }
  }

  override async *_streamResponseChunks(
    _messages: BaseMessage[],
    _options: this["ParsedCallOptions"],
    run?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const message = convertToChunk(this.message) as AIMessageChunk
    const chunk = new ChatGenerationChunk({ text: message.text, message })
    yield chunk
    await run?.handleLLMNewToken(message.text, undefined, undefined, undefined, undefined, { chunk })
  }
}
