import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import {
  AIMessage,
  AIMessageChunk,
  type AIMessageChunkFields,
  type BaseMessage,
  type BaseMessageChunk,
  convertToChunk,
  type UsageMetadata,
} from "@langchain/core/messages"
import { Runnable, RunnableBinding, type RunnableConfig } from "@langchain/core/runnables"
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons"
import { isInteropZodError, isInteropZodSchema } from "@langchain/core/utils/types"
import { ConfigError } from "../spec/errors.ts"
import type { Gate, RouteRequest } from "../spec/request.ts"
import type { Answer } from "../spec/validation.ts"
import { historyFor } from "./history.ts"

/** What the door knows about a call that no room needs to know. */
export interface Invocation {
  /** Options for the provider's package, passed through untouched. */
  readonly callOptions: Readonly<Record<string, unknown>>
  /** Callbacks, tags and metadata for the deployment's own run. */
  readonly config: RunnableConfig
  /** The schema as the user gave it, with the options of `withStructuredOutput`. */
  readonly structured?: StructuredOutput | undefined
  /** Runs work of ours (an estimator's, a validator's) so that models it calls become children of the router's run. */
  readonly within?: (<T>(work: () => Promise<T>) => Promise<T>) | undefined
  /** The caller's own; else the router's. */
  readonly gate?: Gate | undefined
  readonly maxRetries?: number | undefined
}

export interface StructuredOutput {
  readonly schema: unknown
  readonly config: Readonly<Record<string, unknown>>
}

/** One piece of an answer: the whole message of `invoke`, or one chunk of a stream. */
export interface Piece extends Answer {
  /** True: no words, but notice that a handler has shown some, and that they cannot be taken back. */
  readonly shown?: boolean | undefined
}

export interface ModelCall {
  readonly model: BaseChatModel
  /** Whose model it is: the replies that it has given before stay as they are. */
  readonly deploymentId?: string | undefined
  readonly request: RouteRequest
  readonly invocation: Invocation
  readonly streamed: boolean
  /** Told when a handler has shown words of an answer that is not streamed to us. */
  readonly shown?: Promise<void> | undefined
  readonly signal: AbortSignal | undefined
}

interface Callable {
  invoke(messages: BaseMessage[], options: Record<string, unknown>): Promise<AIMessageChunk>
  stream(
    messages: BaseMessage[],
    options: Record<string, unknown>,
  ): Promise<AsyncIterable<AIMessageChunk | AIMessage>>
  _streamIterator(
    messages: BaseMessage[],
    options: Record<string, unknown>,
  ): AsyncGenerator<AIMessageChunk | AIMessage>
  _combineCallOptions?: (options: Record<string, unknown>) => Record<string, unknown>
}

/**
 * Calls a deployment's model in its own provider's form: tools are bound only now that the provider is known, and the
 * schema goes through the model's own `withStructuredOutput`. Retries are the router's, so the package does none.
 *
 * What is wrong with tools or schema is thrown at once; what the returned pieces throw comes from the provider.
 */
export function callModel(call: ModelCall): AsyncIterable<Piece> {
  const { model, deploymentId, request, invocation, streamed, shown, signal } = call
  const messages = historyFor([...request.messages], { model, deploymentId })
  const given = {
    ...invocation.callOptions,
    ...invocation.config,
    // A router among the deployments retries for itself, and holds its own money for the same payer.
    ...(routes(model) ? request.scopes && { scopes: request.scopes } : { maxRetries: 0 }),
    ...(signal && { signal }),
  }
  const { bound, options } = withTools(model, request.tools, given)
  if (invocation.structured !== undefined) {
    const structured = withSchema(bound, model, invocation.structured)
    const conforms = isInteropZodSchema(invocation.structured.schema)
    const ask = async (): Promise<Piece> => {
      const { raw, parsed } = await structured.invoke(messages, options)
      if (parsed !== null && parsed !== undefined) return { message: raw, parsed, conforms }
      // Beside tools, a call of one is an answer too, though not the one that was asked for.
      if ((raw.tool_calls ?? []).some(({ name }) => name !== request.responseFormat?.name))
        return { message: raw }
      return { message: raw, parseError: "the answer does not follow its schema" }
    }
    return onePiece(given, () => parsedOrNot(ask), shown)
  }
  const wantsSchema = request.responseFormat !== undefined
  if (streamed) return chunks(bound, messages, options, wantsSchema)
  const ask = async (): Promise<Piece> => ({ message: await bound.invoke(messages, options) })
  // Without a schema, JSON that does not parse is the provider's own: a broken body, not a poor answer.
  return onePiece(given, wantsSchema ? () => parsedOrNot(ask) : ask, shown)
}

function routes(model: BaseChatModel): boolean {
  const { _llmType: type } = model as { _llmType?: () => string }
  return type !== undefined && type.call(model) === "tierwise"
}

/** True for a piece that the reader has something of; OpenAI's streams open with an empty one that only has a role. */
export function hasContent({ message, parseError, shown }: Piece): boolean {
  if (shown === true || parseError !== undefined || saysSomething(message.content)) return true
  const { tool_call_chunks: chunks } = message as { tool_call_chunks?: readonly unknown[] }
  if ((chunks ?? message.tool_calls ?? []).length > 0) return true
  return WORDS_APART.some((name) => isFilled(message.additional_kwargs[name]))
}

/** Anthropic's streams open with a block of text without any. */
function saysSomething(content: BaseMessage["content"]): boolean {
  if (typeof content === "string") return content.length > 0
  return content.some((block) => block.type !== "text" || block["text"] !== "")
}

/** Where packages put what was generated but is no content; the ids and models they put beside it are no words. */
const WORDS_APART = ["reasoning_content", "refusal", "function_call", "tool_calls", "audio"] as const

function isFilled(value: unknown): boolean {
  if (typeof value === "string" || Array.isArray(value)) return value.length > 0
  return typeof value === "object" && value !== null
}

/** An iterator by hand: a generator would add its own pace to every chunk. */
function chunks(
  model: Callable,
  messages: BaseMessage[],
  options: Record<string, unknown>,
  wantsSchema: boolean,
): AsyncIterable<Piece> {
  const iterator = iterate(model, messages, options)
  let id: string | undefined
  const pieceOf = ({ done, value }: IteratorResult<AIMessageChunk | AIMessage>): IteratorResult<Piece> => {
    if (done === true) return { done, value: undefined }
    const chunk = chunkOf(value)
    // LangChain names a chunk that comes without an id after its run; readers take chunks of one id for one message.
    id ??= chunk.id
    if (id !== undefined && chunk.id !== id) chunk._updateId(id)
    return { done: false, value: { message: chunk } }
  }
  const brokeSchema = (error: unknown): IteratorResult<Piece> => {
    if (!wantsSchema || !isParseError(error)) throw error
    return { done: false, value: { message: new AIMessageChunk(""), parseError: doesNotParse(error) } }
  }
  let begun = false
  const begin = () => {
    begun = true
    return inContext(options, () => iterator.next())
  }
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => (begun ? iterator.next() : begin()).then(pieceOf, brokeSchema),
      return: async () => {
        await iterator.return(undefined)
        return { done: true, value: undefined }
      },
    }),
  }
}

/**
 * As a chunk that can be joined with others: a model that does not stream yields its whole message, and OpenAI's package
 * takes chunks of a provider that leaves out the role for somebody else's, which lose their usage when joined.
 */
function chunkOf(message: AIMessageChunk | AIMessage): AIMessageChunk {
  const chunk = "concat" in message ? message : (convertToChunk(message) as AIMessageChunk)
  if (chunk.getType() !== "ai") return asAIChunk(chunk)
  // A router's own story is told by the router that was called.
  if ("tierwise" in chunk.response_metadata) delete chunk.response_metadata["tierwise"]
  return chunk
}

function asAIChunk(chunk: BaseMessageChunk): AIMessageChunk {
  const { content, additional_kwargs, response_metadata, id } = chunk
  const { usage_metadata } = chunk as { usage_metadata?: UsageMetadata }
  const fields = {
    content,
    additional_kwargs,
    response_metadata,
    ...(id !== undefined && { id }),
    ...(usage_metadata && { usage_metadata }),
  }
  return new AIMessageChunk(fields as AIMessageChunkFields)
}

/**
 * The chunks themselves where `stream` does nothing but wrap them: the router's own stream is wrapped already, and every
 * chunk would pay for it twice. Models that choose another model at run time have a `stream` of their own.
 */
function iterate(
  model: Callable,
  messages: BaseMessage[],
  options: Record<string, unknown>,
): AsyncGenerator<AIMessageChunk | AIMessage> {
  if (wrapsOnly(model)) return model._streamIterator(messages, options)
  const { _combineCallOptions: withDefaults } = model
  // OpenAI's adds the model's own options, and wraps.
  if (withDefaults !== undefined && ownerOf(model, "stream") === ownerOf(model, "_combineCallOptions")) {
    return model._streamIterator(messages, withDefaults.call(model, options))
  }
  return throughStream(model, messages, options)
}

function wrapsOnly(model: Callable): boolean {
  if (model.stream === Runnable.prototype.stream) return true
  const { bound } = model as { bound?: Callable }
  return bound !== undefined && model.stream === RunnableBinding.prototype.stream && wrapsOnly(bound)
}

/** The object or prototype that a member comes from. */
function ownerOf(model: object, name: string): object | undefined {
  let at: object | null = model
  while (at !== null && !Object.hasOwn(at, name)) at = Object.getPrototypeOf(at) as object | null
  return at ?? undefined
}

async function* throughStream(
  model: Callable,
  messages: BaseMessage[],
  options: Record<string, unknown>,
): AsyncGenerator<AIMessageChunk | AIMessage> {
  yield* await model.stream(messages, options)
}

/** A model that calls others without a config calls them in this attempt's name: hidden if it is hidden. */
function inContext<T>(config: RunnableConfig, work: () => Promise<T>): Promise<T> {
  if (config.callbacks === undefined) return work()
  return AsyncLocalStorageProviderSingleton.runWithConfig<Promise<T>>(config, work, true)
}

async function* onePiece(
  config: RunnableConfig,
  ask: () => Promise<Piece>,
  shown: Promise<void> | undefined,
): AsyncGenerator<Piece, void, undefined> {
  const answer = inContext(config, ask)
  if (shown !== undefined) {
    const ended = answer.then(
      () => "ended",
      () => "ended",
    )
    if ((await Promise.race([shown.then(() => "shown"), ended])) === "shown") yield SHOWN
  }
  yield await answer
}

const SHOWN: Piece = { message: new AIMessage(""), shown: true }

/** An empty list is never sent: OpenAI-compatible servers refuse it. */
function withTools(
  model: BaseChatModel,
  tools: readonly unknown[] | undefined,
  options: Record<string, unknown>,
): { readonly bound: Callable; readonly options: Record<string, unknown> } {
  if (tools === undefined || tools.length === 0) return { bound: model, options }
  if (model.bindTools === undefined) {
    const name = model.getName()
    throw new ConfigError("deployments", `${name} cannot bind tools`, "set its profile.toolCalling to false")
  }
  const { tool_choice, strict, ...rest } = options
  const kwargs = {
    ...(tool_choice !== undefined && { tool_choice }),
    ...(strict !== undefined && { strict }),
  }
  return { bound: model.bindTools([...tools] as never[], kwargs as never), options: rest }
}

interface Structured {
  invoke(
    messages: BaseMessage[],
    options: Record<string, unknown>,
  ): Promise<{ readonly raw: AIMessage; readonly parsed: unknown }>
}

/** Packages whose bound models take no schema replace the tools by it, as LangChain's own base class does. */
function withSchema(bound: Callable, model: BaseChatModel, { schema, config }: StructuredOutput): Structured {
  const able = typeof (bound as Partial<BaseChatModel>).withStructuredOutput === "function" ? bound : model
  const asked = (able as BaseChatModel).withStructuredOutput(schema as never, { ...config, includeRaw: true })
  return asked as unknown as Structured
}

/**
 * JSON that does not parse, or does not follow its schema, is thrown by some packages from inside the call. It is a poor
 * answer, not a broken provider, and it has been billed: it becomes an answer for the validators to reject.
 */
async function parsedOrNot(call: () => Promise<Piece>): Promise<Piece> {
  try {
    return await call()
  } catch (error) {
    if (!isParseError(error)) throw error
    return {
      message: new AIMessage(""),
      parseError: doesNotParse(error),
      unseen: true,
    }
  }
}

function doesNotParse({ message }: Error): string {
  return `the answer does not parse: ${message}`
}

function isParseError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const code = (error as { lc_error_code?: unknown }).lc_error_code
  return code === "OUTPUT_PARSING_FAILURE" || error.name === "SyntaxError" || isInteropZodError(error)
}
