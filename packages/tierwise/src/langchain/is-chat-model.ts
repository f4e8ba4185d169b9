import type { BaseChatModel } from "@langchain/core/language_models/chat_models"

/** Duck-typed, because two copies of LangChain have two `BaseChatModel` classes. */
export function isChatModel(value: unknown): value is BaseChatModel {
  const has = (name: string) => typeof (value as Record<string, unknown> | undefined)?.[name] === "function"
  return has("invoke") && has("_generate") && has("_streamResponseChunks")
}
