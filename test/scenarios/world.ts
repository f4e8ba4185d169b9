import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import type { UsageMetadata } from "@langchain/core/messages"
import { ChatOpenAI } from "@langchain/openai"
import {
  type SimulatedModel,
  type Simulator,
  type SimulatorOptions,
  startSimulator,
} from "@tierwise/simulator"
import {
  type DeploymentOptions,
  type Price,
  type ReplyMetadata,
  type RouteRecord,
  RouterChatModel,
  type RouterChatModelFields,
} from "tierwise"

/** A provider that really answers over HTTP, and a router over it. Close it with `await using`. */
export interface World {
  readonly simulator: Simulator
  readonly router: RouterChatModel
  /** The record of every request that has ended, oldest first. */
  readonly records: readonly RouteRecord[]
  /** Calls that have reached the provider, oldest first. */
  bodies(): readonly SentBody[]
  [Symbol.asyncDispose](): Promise<void>
}

/** An OpenAI chat-completions body, as the provider received it. */
export interface SentBody {
  readonly model: string
  readonly [field: string]: unknown
}

export const TIER_MODELS = { light: "sim-small", standard: "sim-medium", heavy: "sim-large" } as const

export async function openWorld(
  options: Partial<RouterChatModelFields> = {},
  simulated: SimulatorOptions = {},
): Promise<World> {
  const simulator = await startSimulator({ timeScale: 0, ...simulated })
  const records: RouteRecord[] = []
  const observer = {
    on: (event: { readonly type: string; readonly record?: RouteRecord }) => {
      if (event.record !== undefined) records.push(event.record)
    },
  }
  const router = new RouterChatModel({
    deployments: deploymentsOf(simulator),
    retryBaseMs: 1,
    ...options,
    observers: [observer, ...(options.observers ?? [])],
  })
  return {
    simulator,
    router,
    records,
    bodies: () => simulator.requests().map(({ body }) => body as SentBody),
    [Symbol.asyncDispose]: () => simulator.close(),
  }
}

export function deploymentsOf(simulator: Simulator): readonly DeploymentOptions[] {
  return Object.entries(TIER_MODELS).map(([tier, id]) => deploymentOf(simulator, tier, id))
}

/** The simulator's own figures: its price list is what our bill is checked against. */
export function deploymentOf(simulator: Simulator, tier: string, modelId: string): DeploymentOptions {
  const simulated = simulator.models.find(({ id }) => id === modelId) as SimulatedModel
  return {
    id: modelId,
    tier,
    model: chatModel(simulator, modelId),
    price: simulated.price satisfies Price,
    profile: {
      maxInputTokens: simulated.contextWindow,
      maxOutputTokens: simulated.maxOutputTokens,
      toolCalling: true,
      structuredOutput: true,
    },
  }
}

export function chatModel(simulator: Simulator, model: string): ChatOpenAI {
  return new ChatOpenAI({ model, apiKey: "none", configuration: { baseURL: simulator.baseUrl } })
}

export function replyMetadata(message: {
  readonly response_metadata: Record<string, unknown>
}): ReplyMetadata {
  return message.response_metadata["tierwise"] as ReplyMetadata
}

/** LangChain's declaration of `usage_metadata` on a message comes out as undefined under strict compiler options. */
export function usageOf(message: object): UsageMetadata | undefined {
  return (message as { readonly usage_metadata?: UsageMetadata }).usage_metadata
}

/** Counts runs as a tracer would. */
export class RunCounter extends BaseCallbackHandler {
  override readonly name = "run-counter"
  readonly events: string[] = []
  tokens = 0

  constructor() {
    super({ _awaitHandler: true })
  }

  override handleChainStart(...args: unknown[]): void {
    this.events.push(`chain ${(args[7] as string | undefined) ?? ""}`.trim())
  }

  override handleChatModelStart(...args: unknown[]): void {
    this.events.push(`llm ${((args[5] as string[] | undefined) ?? []).join(",")}`.trim())
  }

  override handleChainEnd(): void {
    this.events.push("chain end")
  }

  override handleChainError(error: unknown): void {
    this.events.push(`chain error: ${(error as Error).message}`)
  }

  override handleLLMEnd({ generations }: { readonly generations: readonly (readonly object[])[] }): void {
    const generation = generations[0]?.[0] as { readonly message: object } | undefined
    this.tokens += usageOf(generation?.message ?? {})?.total_tokens ?? 0
    this.events.push("llm end")
  }
}
