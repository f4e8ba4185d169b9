import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { ModelProfile } from "@langchain/core/language_models/profile"
import type { DeploymentOptions } from "../route/router-options.ts"
import { RouterChatModel } from "../router-chat-model.ts"
import type { Price } from "../spec/catalog.ts"

/** Larger than any model's, tokens. */
const ANY_WINDOW = 1e9

/**
 * One model with a price: a router with nowhere else to go. It holds, calls, meters and settles as any router does; what
 * agents and middleware ask a model about itself, the model itself answers.
 */
export class MeteredModel extends RouterChatModel {
  private readonly metered: BaseChatModel

  /** @param maxOutputTokens Output cap in tokens. Default: the model's own, else 4,096. */
  constructor(model: BaseChatModel, price: Price, maxOutputTokens: number | undefined) {
    const { maxInputTokens = ANY_WINDOW } = model.profile
    // Whoever has chosen this model has chosen it for everything: nothing is left out for it.
    const profile: DeploymentOptions["profile"] = {
      maxInputTokens,
      toolCalling: true,
      structuredOutput: true,
      imageInputs: true,
      audioInputs: true,
      pdfInputs: true,
    }
    super({
      tiers: ["only"],
      deployments: [{ tier: "only", model, price, profile, maxOutputTokens }],
      routing: false,
    })
    this.metered = model
  }

  override get profile(): ModelProfile {
    return this.metered.profile
  }

  override getName(): string {
    return this.metered.getName()
  }
}
