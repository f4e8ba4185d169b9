import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager"
import { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, type BaseMessage } from "@langchain/core/messages"
import type { ChatResult } from "@langchain/core/outputs"
import type { DeploymentOptions } from "tierwise"

export type Reply = (text: string) => string | Promise<string>

/** A model in this process, which answers as told and writes down what it was asked. */
export class TalkingModel extends BaseChatModel {
  readonly asked: string[] = []
  /** Output caps it was called with. */
  readonly caps: number[] = []
  maxTokens = 100
  override readonly name: string
  private readonly reply: Reply

  constructor(name: string, reply: Reply = () => `${name} says`) {
    super({ maxRetries: 0 })
    this.name = name
    this.reply = reply
  }

  override _llmType(): string {
    return "talking"
  }

  override getName(): string {
    return this.name
  }

  override async _generate(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
    _run?: CallbackManagerForLLMRun,
  ): Promise<ChatResult> {
    const text = messages.map((message) => message.text).join("\n")
    this.asked.push(text)
    this.caps.push(this.maxTokens)
    options.signal?.throwIfAborted()
    const answer = await this.reply(text)
    return { generations: [{ text: answer, message: new AIMessage(answer) }] }
  }
}

export function talking(
  tier: string,
  name: string,
  fields: Partial<DeploymentOptions> & { readonly reply?: Reply } = {},
): DeploymentOptions & { readonly model: TalkingModel } {
  const { reply, ...rest } = fields
  return {
    id: name,
    tier,
    price: "free",
    profile: { maxInputTokens: 32_000 },
    ...rest,
    model: new TalkingModel(name, reply),
  }
}

/** A reply that waits until it is said what it is. */
export function onCue(): { readonly reply: Reply; say(answer: string): void; fail(error: Error): void } {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  return { reply: () => promise, say: resolve, fail: reject }
}

/** Whatever was to happen at once has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Whether a promise has settled by now. */
export function watch(promise: Promise<unknown>): () => boolean {
  let isOver = false
  const over = () => {
    isOver = true
  }
  promise.then(over, over)
  return () => isOver
}
