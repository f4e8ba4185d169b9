import {
  type AIMessage,
  AIMessageChunk,
  type AIMessageChunkFields,
  type BaseMessage,
  type BaseMessageChunk,
  convertToChunk,
  type UsageMetadata,
} from "@langchain/core/messages"
import { Runnable, RunnableBinding } from "@langchain/core/runnables"
import { inContext } from "./in-context.ts"
import { isRestart } from "./is-restart.ts"
import { doesNotParse, isParseError } from "./parse-error.ts"
import type { Piece } from "./piece.ts"

/** What can be called and streamed: a model, or one with tools bound to it. */
export interface Callable {
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

/** The chunks of an answer, one by one. An iterator by hand: a generator would add its own pace to each. */
export function streamPieces(
  model: Callable,
  messages: BaseMessage[],
  options: Record<string, unknown>,
  wantsSchema: boolean,
  messageId?: string,
): AsyncIterable<Piece> {
  const iterator = iterate(model, messages, options)
  let id = messageId
  const pieceOf = ({ done, value }: IteratorResult<AIMessageChunk | AIMessage>): IteratorResult<Piece> => {
    if (done === true) return { done, value: undefined }
    const chunk = chunkOf(value)
    // A router among the models has begun anew: what it says now is another message.
    if (isRestart(chunk)) id = messageId
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
