import type {
  BaseLanguageModelInput,
  StructuredOutputMethodOptions,
} from "@langchain/core/language_models/base"
import type { BindToolsInput, LangSmithParams } from "@langchain/core/language_models/chat_models"
import type { ModelProfile } from "@langchain/core/language_models/profile"
import { type AIMessageChunk, type BaseMessage, convertToChunk } from "@langchain/core/messages"
import type { Runnable } from "@langchain/core/runnables"
import { CompositeChatModel } from "../composite-chat-model.ts"
import { isRestart } from "../langchain/is-restart.ts"
import { mergeOptions } from "../langchain/read-call.ts"
import type { StructuredSchema } from "../langchain/structured-schema.ts"
import { ConfigError } from "../spec/errors.ts"
import { askLinks, type Call, type CallOptions, streamLinks } from "./ask-links.ts"
import { withSchema, withTools } from "./bound-models.ts"
import { type ChainParts, type Link, linkPath } from "./chain-parts.ts"
import { FallbackRunnable } from "./fallback-runnable.ts"
import type { FallbackAnswer, FallbackChatOptions } from "./options.ts"
import { ownMessage } from "./own-message.ts"
import { unitedTools } from "./united-tools.ts"

type Parts = ChainParts<BaseLanguageModelInput, AIMessageChunk>
type ChatLink = Link<BaseLanguageModelInput, AIMessageChunk>
type ChatCall = Call<BaseLanguageModelInput, AIMessageChunk>

/**
 * What `new FallbackChain` gives where every link is a chat model: a chat model itself. It opens a chain run, under which
 * every link that is asked is one LLM run; the message that comes back is the answering link's own.
 */
export class FallbackChatModel extends CompositeChatModel<FallbackChatOptions> {
  override lc_namespace: string[] = ["tierwise"]
  private readonly parts: Parts

  static override lc_name(): string {
    return "FallbackChain"
  }

  constructor(parts: Parts) {
    super({})
    this.parts = parts
  }

  override _llmType(): string {
    return "tierwise-fallback"
  }

  /** Names only: a link's own parameters may hold its key. */
  override _identifyingParams(): Record<string, unknown> {
    return { links: this.parts.links.map(({ deploymentId, tier }) => `${tier}: ${deploymentId}`) }
  }

  override getLsParams(options: this["ParsedCallOptions"]): LangSmithParams {
    const { max_tokens } = options as { max_tokens?: number }
    const names = this.parts.links.map(({ deploymentId }) => deploymentId)
    return this.lsParams(names.join("|"), options, max_tokens)
  }

  protected override profiles(): readonly ModelProfile[] {
    return this.parts.links.map(({ model }) => model?.profile ?? {})
  }

  /**
   * @throws CandidatesExhaustedError if all links failed or may not be asked now; DeadlineExceededError; StreamBrokenError if
   * handlers had words of an answer that broke off; what the provider threw where no other link can help.
   */
  override async invoke(
    input: BaseLanguageModelInput,
    options?: Partial<FallbackChatOptions>,
  ): Promise<AIMessageChunk> {
    return (await this.answer(input, options)).output
  }

  /** Like `invoke`, and says which tier answered and what was tried. */
  async answer(
    input: BaseLanguageModelInput,
    options?: Partial<FallbackChatOptions>,
  ): Promise<FallbackAnswer<AIMessageChunk>> {
    const answer = await askLinks(this.read(input, options))
    return { ...answer, output: ownMessage(answer.output) }
  }

  override async *_streamIterator(
    input: BaseLanguageModelInput,
    options?: Partial<FallbackChatOptions>,
  ): AsyncGenerator<AIMessageChunk> {
    let id: string | undefined
    for await (const message of streamLinks(this.read(input, options))) {
      // A model that does not stream yields its whole message, which cannot be joined with chunks.
      const chunk = "concat" in message ? message : (convertToChunk(message) as AIMessageChunk)
      // A router among the links has begun anew: what it says now is another message.
      if (isRestart(chunk)) id = undefined
      id ??= chunk.id
      yield chunk.id === id ? chunk : ownMessage(chunk, id)
    }
  }

  /**
   * A chain whose links are offered these tools, each in its provider's own form. Tools that were bound before stay, and
   * so do the link's own; one of the same name is replaced. An empty list is never sent.
   *
   * @throws ConfigError, naming the link, if a link's model cannot bind tools.
   */
  override bindTools(tools: BindToolsInput[], kwargs: Partial<FallbackChatOptions> = {}): FallbackChatModel {
    for (const [index, { model }] of this.parts.links.entries()) {
      if (typeof model?.bindTools === "function") continue
      const problem = `${model?.getName()} cannot bind tools`
      throw new ConfigError(linkPath(index), problem, "give a model that can")
    }
    const united = unitedTools(this.defaultOptions.tools ?? [], tools) as BindToolsInput[]
    return this.withConfig({ ...kwargs, tools: united })
  }

  /**
   * A chain of each link's own `withStructuredOutput`, for a schema of zod (3 or 4), any other standard schema, or JSON
   * Schema. An answer that breaks the schema is asked of the next link; with `includeRaw` it is an answer, whose `parsed`
   * is null. Tools that were bound stay where the link's package can do both, else the schema replaces them.
   */
  override withStructuredOutput<Output extends Record<string, unknown> = Record<string, unknown>>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions,
  ): FallbackRunnable<BaseLanguageModelInput, Output>
  override withStructuredOutput<Output extends Record<string, unknown> = Record<string, unknown>>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions<true>,
  ): FallbackRunnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: Output }>
  override withStructuredOutput<Output extends Record<string, unknown>>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions<boolean>,
  ): FallbackRunnable<BaseLanguageModelInput, Output | { raw: BaseMessage; parsed: Output }> {
    type Structured = Runnable<BaseLanguageModelInput, Output | { raw: BaseMessage; parsed: Output }>
    const { tools = [], tool_choice: _, strict, ...bound } = this.defaultOptions
    const kwargs = strict === undefined ? {} : { strict }
    const links = this.parts.links.map((link) => ({
      ...link,
      model: undefined,
      under: link.model,
      runnable: withSchema(link.runnable, schema, config, tools, kwargs) as Structured,
    }))
    const { providerOptions, ...options } = bound
    return new FallbackRunnable({ ...this.parts, links }, { ...providerOptions, ...options })
  }

  private read(input: BaseLanguageModelInput, options: Partial<FallbackChatOptions> | undefined): ChatCall {
    const merged = mergeOptions(this.defaultOptions, options) as FallbackChatOptions
    const [config, given] = this._separateRunnableConfigFromCallOptions(merged)
    const { providerOptions, tools, ...rest } = given
    const call = {
      parts: this.parts,
      input,
      config,
      name: this.getName(),
      serialized: () => this.toJSON(),
    }
    const all: CallOptions = { ...providerOptions, ...rest }
    if (tools === undefined) return { ...call, options: all }
    const { tool_choice, strict, ...others } = all
    // Without tools there is nothing to choose, and OpenAI-compatible servers refuse an empty list.
    if (tools.length === 0) return { ...call, options: others }
    const kwargs = {
      ...(tool_choice !== undefined && { tool_choice }),
      ...(strict !== undefined && { strict }),
    }
    const prepare = ({ runnable }: ChatLink) => withTools(runnable, tools, kwargs) as ChatLink["runnable"]
    return { ...call, options: others, prepare }
  }
}
