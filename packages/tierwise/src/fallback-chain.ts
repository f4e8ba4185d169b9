import type { BaseLanguageModelInput } from "@langchain/core/language_models/base"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { AIMessageChunk } from "@langchain/core/messages"
import type { Runnable } from "@langchain/core/runnables"
import { type ChainParts, readFields } from "./fallback/chain-parts.ts"
import { FallbackChatModel } from "./fallback/fallback-chat-model.ts"
import { FallbackRunnable } from "./fallback/fallback-runnable.ts"
import type {
  FallbackAnswer,
  FallbackChainFields,
  FallbackLink,
  FallbackOptions,
  FallbackSettings,
} from "./fallback/options.ts"

export type {
  FallbackAnswer,
  FallbackChainFields,
  FallbackChatOptions,
  FallbackLink,
  FallbackOptions,
} from "./fallback/options.ts"

/** What chains of chat models and chains of other Runnables have in common. */
export interface FallbackChain<Input = unknown, Output = unknown>
  extends Runnable<Input, Output, FallbackOptions> {
  /** Like `invoke`, and says which tier answered and what was tried. */
  answer(input: Input, options?: Partial<FallbackOptions>): Promise<FallbackAnswer<Output>>
}

/** A chain of chat models is a chat model; one of other Runnables is a Runnable. */
export type ChainOver<Asked> = [Asked] extends [BaseChatModel]
  ? FallbackChatModel
  : [Asked] extends [Runnable<infer Input, infer Output>]
    ? FallbackRunnable<Input, Output>
    : never

export interface FallbackChainConstructor {
  new <const Links extends readonly FallbackLink<unknown, unknown, Runnable>[]>(
    fields: FallbackSettings & { readonly links: Links },
  ): ChainOver<Links[number]["runnable"]>
  [Symbol.hasInstance](value: unknown): value is FallbackChain
  lc_name(): string
}

/**
 * Asks one runnable after the other until one answers (row E6). The failure table decides what is worth another link:
 * an invalid request, an abort, an interrupt or a defect is thrown as it is; a stream falls back until its first piece.
 * Who keeps failing or asked for a pause is skipped, and a deadline may end it all, as in a router.
 *
 * A chat model's answer that ends without a finish reason was cut off: the next link is asked, and after the first words
 * it is a StreamBrokenError. A chain cannot go on with a broken answer; a router can (`midStream`).
 *
 * Over chat models the chain is a chat model itself, for agents, tools and schemas. LangChain tells a chat model by its
 * methods, so a chain that has a link of another kind has none of them: `new` makes one of two kinds.
 *
 * @example
 * const chain = new FallbackChain({ links: [{ tier: "light", runnable: small }, { tier: "heavy", runnable: large }] })
 * const agent = createAgent({ model: chain, tools })
 *
 * @throws ConfigError for an empty chain, an id given twice or an option that cannot be. Calls throw
 * CandidatesExhaustedError, with every attempt, when all links failed or may not be asked now; DeadlineExceededError when
 * they took too long.
 */
export const FallbackChain: FallbackChainConstructor = class {
  static lc_name(): string {
    return "FallbackChain"
  }

  static [Symbol.hasInstance](value: unknown): value is FallbackChain {
    return value instanceof FallbackChatModel || value instanceof FallbackRunnable
  }

  constructor(fields: FallbackChainFields<unknown, unknown>) {
    // biome-ignore lint/correctness/noConstructorReturn: the two kinds have different base classes, and one name.
    return chainOf(readFields(fields))
  }
} as unknown as FallbackChainConstructor

function chainOf(
  parts: ChainParts<unknown, unknown>,
): FallbackChatModel | FallbackRunnable<unknown, unknown> {
  if (parts.links.some(({ model }) => model === undefined)) return new FallbackRunnable(parts)
  return new FallbackChatModel(parts as ChainParts<BaseLanguageModelInput, AIMessageChunk>)
}
