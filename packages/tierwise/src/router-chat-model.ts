import type { Callbacks } from "@langchain/core/callbacks/manager"
import type {
  BaseLanguageModelInput,
  StructuredOutputMethodOptions,
} from "@langchain/core/language_models/base"
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BindToolsInput,
} from "@langchain/core/language_models/chat_models"
import type { AIMessage, AIMessageChunk, BaseMessage } from "@langchain/core/messages"
import { OutputParserException } from "@langchain/core/output_parsers"
import { ChatGenerationChunk, type ChatResult, type LLMResult } from "@langchain/core/outputs"
import { type Runnable, type RunnableConfig, RunnableLambda } from "@langchain/core/runnables"
import type { SerializableSchema } from "@langchain/core/utils/standard_schema"
import type { ZodV3Like, ZodV4Like } from "@langchain/core/utils/types"
import { type FromEnvOptions, optionsFromEnv } from "./env/options-from-env.ts"
import type { Invocation, StructuredOutput } from "./langchain/call-model.ts"
import { type ChainRun, startChainRun } from "./langchain/chain-run.ts"
import { mergeOptions, readCall } from "./langchain/read-call.ts"
import { metadataChunk, withReplyMetadata } from "./langchain/reply.ts"
import { resolveOptions } from "./route/resolve-options.ts"
import type { RouterOptions } from "./route/router-options.ts"
import { createHall, type Hall, type Routed } from "./route.ts"
import { InvalidRequestError } from "./spec/errors.ts"
import type { Snapshot } from "./spec/policy.ts"
import type { RouteHints, RouteRequest } from "./spec/request.ts"
import type { Plan } from "./spec/telemetry.ts"

/** Everything a chat model takes per call, the router's hints, and whatever the providers' packages take. */
export interface RouterCallOptions extends BaseChatModelCallOptions, RouteHints {
  /** Any form LangChain accepts; bound in the provider's own form once the deployment is known. */
  tools?: BindToolsInput[] | undefined
  /** OpenAI's; a `json_schema` in it counts as the schema the answer must follow. */
  response_format?: unknown
  /** Strict tool calling and strict schemas, where the provider has them. */
  strict?: boolean | undefined
  /** False: one tool call at a time, where the provider has the choice. */
  parallel_tool_calls?: boolean | undefined
  /** Whatever else a deployment's package takes per call, e.g. `{ reasoning_effort: "low" }`. */
  providerOptions?: Readonly<Record<string, unknown>> | undefined
}

export interface RouterChatModelFields extends RouterOptions {
  readonly callbacks?: Callbacks | undefined
  readonly tags?: string[] | undefined
  readonly metadata?: Record<string, unknown> | undefined
  readonly verbose?: boolean | undefined
}

/** A zod schema of either version, any other standard schema, or JSON Schema. */
export type StructuredSchema<Output extends Record<string, unknown>> =
  | SerializableSchema<Output>
  | ZodV3Like<Output, unknown>
  | ZodV4Like<Output, unknown>
  | Record<string, unknown>

interface Call {
  readonly request: RouteRequest
  readonly invocation: Invocation
  readonly run: ChainRun
}

/**
 * A chat model that sends each call to the cheapest of its models that can do it, holds the money first, falls back
 * when a provider fails, and escalates when an answer is not good enough. Every reply says what happened under
 * `response_metadata.tierwise`.
 *
 * It opens a chain run, under which every provider call is one LLM run, so that tracers count each token once.
 *
 * @example
 * const model = new RouterChatModel({
 *   tiers: ["light", "heavy"],
 *   deployments: [
 *     { tier: "light", model: new ChatOpenAI({ model: "small" }), price: { inputPerMTok: 0.1, outputPerMTok: 0.4 } },
 *     { tier: "heavy", model: new ChatOpenAI({ model: "large" }), price: { inputPerMTok: 3, outputPerMTok: 12 } },
 *   ],
 * })
 * await model.invoke("Hello")
 *
 * @throws ConfigError, naming the option and the fix, for anything that cannot work.
 */
export class RouterChatModel extends BaseChatModel<RouterCallOptions> {
  /** Options bound with `withConfig` and `bindTools`. */
  protected defaultOptions: Partial<RouterCallOptions> = {}
  private readonly hall: Hall
  private readonly own: Pick<RouterChatModelFields, "callbacks" | "tags" | "metadata" | "verbose">

  static override lc_name(): string {
    return "RouterChatModel"
  }

  /** Builds a router from the environment and `.env`; see `docs/guide/configuration.md` for the variables. */
  static async fromEnv(options: FromEnvOptions = {}): Promise<RouterChatModel> {
    return new RouterChatModel(await optionsFromEnv(options))
  }

  constructor(fields: RouterChatModelFields) {
    const { callbacks, tags, metadata, verbose, ...options } = fields
    super({})
    this.hall = createHall(resolveOptions(options))
    this.own = { callbacks, tags, metadata, verbose }
  }

  override _llmType(): string {
    return "tierwise-router"
  }

  /** What the router would do with this input, without calling anybody: the plan every record of a live call holds. */
  async explain(
    input: BaseLanguageModelInput,
    options: Partial<RouterCallOptions> & { readonly snapshot?: Snapshot | undefined } = {},
  ): Promise<Plan> {
    const { snapshot, ...rest } = options
    const merged = mergeOptions(this.defaultOptions, rest) as RouterCallOptions
    const [{ configurable }, callOptions] = this._separateRunnableConfigFromCallOptions(merged)
    const { request } = readCall(RouterChatModel.messagesOf(input), callOptions, configurable, undefined)
    return this.hall.plan(request, snapshot)
  }

  /** @throws what the provider throws, an error of our own (`TierwiseError.isInstance`), or OutputParserException. */
  override async invoke(
    input: BaseLanguageModelInput,
    options?: Partial<RouterCallOptions>,
  ): Promise<AIMessageChunk> {
    return this.answer(input, options, undefined, ({ answer, record }) => {
      if (answer.parseError !== undefined) throw new OutputParserException(answer.parseError)
      return withReplyMetadata(answer.message, record) as unknown as AIMessageChunk
    })
  }

  override async *_streamIterator(
    input: BaseLanguageModelInput,
    options?: Partial<RouterCallOptions>,
  ): AsyncGenerator<AIMessageChunk> {
    const { request, invocation, run } = await this.open(input, options, undefined)
    let failure: unknown = new Error("the reader stopped reading")
    let output: AIMessageChunk | undefined
    try {
      const { answer, record } = yield* this.hall.stream(request, invocation)
      const last = metadataChunk(answer.message.id, record)
      output = (answer.message as AIMessageChunk).concat(last)
      failure = undefined
      yield last
    } catch (error) {
      failure = error
      throw error
    } finally {
      await (output === undefined ? run.fail(failure) : run.end(output))
    }
  }

  override bindTools(tools: BindToolsInput[], kwargs?: Partial<RouterCallOptions>): RouterChatModel {
    return this.withConfig({ ...kwargs, tools })
  }

  /** A clone with these options; tags, metadata and callbacks are added to those it has. */
  override withConfig(config: Partial<RouterCallOptions>): RouterChatModel {
    const clone = Object.assign(Object.create(Object.getPrototypeOf(this)) as RouterChatModel, this)
    clone.defaultOptions = mergeOptions(this.defaultOptions, config)
    return clone
  }

  /**
   * Answers under a schema (zod or JSON Schema), through the chosen deployment's own `withStructuredOutput`. An answer
   * that breaks the schema escalates.
   *
   * @throws OutputParserException if the strongest allowed tier breaks it too (not with `includeRaw`).
   */
  override withStructuredOutput<Output extends Record<string, unknown> = Record<string, unknown>>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions,
  ): Runnable<BaseLanguageModelInput, Output>
  override withStructuredOutput<Output extends Record<string, unknown> = Record<string, unknown>>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions<true>,
  ): Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: Output }>
  override withStructuredOutput<Output extends Record<string, unknown>>(
    schema: StructuredSchema<Output>,
    config?: StructuredOutputMethodOptions<boolean>,
  ): Runnable<BaseLanguageModelInput, Output | { raw: BaseMessage; parsed: Output }> {
    if ((this.defaultOptions.tools?.length ?? 0) > 0) {
      throw toolsAndSchema()
    }
    const structured = { schema, config: { ...config } }
    const includeRaw = config?.includeRaw === true
    return RunnableLambda.from(async (input: BaseLanguageModelInput, options?: RunnableConfig) =>
      this.answer(input, options as Partial<RouterCallOptions>, structured, ({ answer, record }) => {
        const raw = withReplyMetadata(answer.message, record)
        if (includeRaw) return { raw, parsed: (answer.parsed ?? null) as Output }
        if (answer.parsed !== undefined) return answer.parsed as Output
        throw new OutputParserException(
          answer.parseError ?? "the answer does not follow its schema",
          raw.text,
        )
      }),
    ).withConfig({ runName: "StructuredOutput" })
  }

  /** Each conversation is one routed call. */
  override async generate(
    messages: Parameters<BaseChatModel["generate"]>[0],
    options?: string[] | Partial<RouterCallOptions>,
    callbacks?: Callbacks,
  ): Promise<LLMResult> {
    const given = Array.isArray(options) ? { stop: options } : options
    const config = { ...given, ...(callbacks !== undefined && { callbacks }) } as Partial<RouterCallOptions>
    const replies = await this.batch(messages, config)
    return { generations: replies.map((message) => [{ text: message.text, message }]) }
  }

  override async _generate(messages: BaseMessage[], options: this["ParsedCallOptions"]): Promise<ChatResult> {
    const message = (await this.invoke(messages, options)) as unknown as AIMessage
    return { generations: [{ text: message.text, message }] }
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this["ParsedCallOptions"],
  ): AsyncGenerator<ChatGenerationChunk> {
    for await (const message of this._streamIterator(messages, options)) {
      yield new ChatGenerationChunk({ text: message.text, message })
    }
  }

  /** One answered call under a run of its own; `finish` makes of it what is returned, and may still refuse it. */
  private async answer<T>(
    input: BaseLanguageModelInput,
    options: Partial<RouterCallOptions> | undefined,
    structured: StructuredOutput | undefined,
    finish: (routed: Routed) => T,
  ): Promise<T> {
    const { request, invocation, run } = await this.open(input, options, structured)
    try {
      const finished = finish(await run.within(() => this.hall.generate(request, invocation)))
      await run.end(finished)
      return finished
    } catch (error) {
      await run.fail(error)
      throw error
    }
  }

  /** Opens the router's own run and reads the call. */
  private async open(
    input: BaseLanguageModelInput,
    options: Partial<RouterCallOptions> | undefined,
    structured: StructuredOutput | undefined,
  ): Promise<Call> {
    const merged = mergeOptions(this.defaultOptions, options) as RouterCallOptions
    const [config, given] = this._separateRunnableConfigFromCallOptions(merged)
    const messages = RouterChatModel.messagesOf(input)
    const { request, callOptions } = readCall(messages, given, config.configurable, structured)
    if (structured !== undefined && (request.tools?.length ?? 0) > 0) throw toolsAndSchema()
    const { own } = this
    const run = await startChainRun({
      config,
      name: this.getName(),
      serialized: () => this.toJSON(),
      own,
      inputs: { messages },
    })
    const invocation = { callOptions, config: run.childConfig, structured }
    return { request, invocation, run }
  }

  private static messagesOf(input: BaseLanguageModelInput): BaseMessage[] {
    return BaseChatModel._convertInputToPromptValue(input).toChatMessages()
  }
}

function toolsAndSchema(): InvalidRequestError {
  const fix = "ask for the schema on a router without tools, or pass responseFormat to the agent"
  return new InvalidRequestError("tools", "a schema cannot be asked for while tools are offered", fix)
}
