import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, type AIMessageChunk, type BaseMessage, convertToChunk } from "@langchain/core/messages"
import type { RunnableConfig } from "@langchain/core/runnables"
import { isInteropZodError, isInteropZodSchema } from "@langchain/core/utils/types"
import { ConfigError } from "../spec/errors.ts"
import type { RouteRequest } from "../spec/request.ts"
import type { Answer } from "../spec/validation.ts"

/** What the door knows about a call that no room needs to know. */
export interface Invocation {
  /** Options for the provider's package, passed through untouched. */
  readonly callOptions: Readonly<Record<string, unknown>>
  /** Callbacks, tags and metadata for the deployment's own run. */
  readonly config: RunnableConfig
  /** The schema as the user gave it, with the options of `withStructuredOutput`. */
  readonly structured?: StructuredOutput | undefined
}

export interface StructuredOutput {
  readonly schema: unknown
  readonly config: Readonly<Record<string, unknown>>
}

/** One piece of an answer: the whole message of `invoke`, or one chunk of a stream. */
export type Piece = Answer

export interface ModelCall {
  readonly model: BaseChatModel
  readonly request: RouteRequest
  readonly invocation: Invocation
  readonly streamed: boolean
  readonly signal: AbortSignal | undefined
}

interface Callable {
  invoke(messages: BaseMessage[], options: Record<string, unknown>): Promise<AIMessageChunk>
  stream(messages: BaseMessage[], options: Record<string, unknown>): Promise<AsyncIterable<AIMessageChunk>>
}

/**
 * Calls a deployment's model in its own provider's form: tools are bound only now that the provider is known, and the
 * schema goes through the model's own `withStructuredOutput`. Retries are the router's, so the package does none.
 *
 * What is wrong with tools or schema is thrown at once; what the returned pieces throw comes from the provider.
 */
export function callModel(call: ModelCall): AsyncGenerator<Piece, void, undefined> {
  const { model, request, invocation, streamed, signal } = call
  const messages = [...request.messages]
  const options = {
    ...invocation.callOptions,
    ...invocation.config,
    maxRetries: 0,
    ...(signal && { signal }),
  }
  if (invocation.structured !== undefined) {
    const { schema, config } = invocation.structured
    const structured = model.withStructuredOutput(schema as never, { ...config, includeRaw: true })
    const conforms = isInteropZodSchema(schema)
    return onePiece(async () => {
      const { raw, parsed } = (await structured.invoke(messages, options)) as {
        raw: AIMessage
        parsed: unknown
      }
      if (parsed !== null && parsed !== undefined) return { message: raw, parsed, conforms }
      return { message: raw, parseError: "the answer does not follow its schema" }
    }, true)
  }
  if (request.tools === undefined || request.tools.length === 0) {
    return pieces(model, messages, options, streamed, request.responseFormat !== undefined)
  }
  const { tool_choice, strict, ...rest } = options as Record<string, unknown>
  const bound = withTools(model, request.tools, tool_choice, strict)
  return pieces(bound, messages, rest, streamed, request.responseFormat !== undefined)
}

/** True for a piece that the reader has something of; OpenAI's streams open with an empty one that only has a role. */
export function hasContent({ message, parseError }: Piece): boolean {
  if (parseError !== undefined || message.content.length > 0) return true
  const { tool_call_chunks: chunks } = message as { tool_call_chunks?: readonly unknown[] }
  if ((chunks ?? message.tool_calls ?? []).length > 0) return true
  return WORDS_APART.some((name) => isFilled(message.additional_kwargs[name]))
}

/** Where packages put what was generated but is no content; the ids and models they put beside it are no words. */
const WORDS_APART = ["reasoning_content", "refusal", "function_call", "tool_calls", "audio"] as const

function isFilled(value: unknown): boolean {
  if (typeof value === "string" || Array.isArray(value)) return value.length > 0
  return typeof value === "object" && value !== null
}

function pieces(
  model: Callable,
  messages: BaseMessage[],
  options: Record<string, unknown>,
  streamed: boolean,
  wantsSchema: boolean,
): AsyncGenerator<Piece, void, undefined> {
  if (streamed) return chunks(model, messages, options)
  return onePiece(async () => ({ message: await model.invoke(messages, options) }), wantsSchema)
}

async function* chunks(model: Callable, messages: BaseMessage[], options: Record<string, unknown>) {
  for await (const message of await model.stream(messages, options)) {
    // A model that does not stream yields its whole message, which cannot be joined with chunks.
    yield { message: "concat" in message ? message : (convertToChunk(message) as AIMessageChunk) }
  }
}

async function* onePiece(call: () => Promise<Piece>, wantsSchema: boolean) {
  // Without a schema, JSON that does not parse is the provider's own: a broken body, not a poor answer.
  yield await (wantsSchema ? parsedOrNot(call) : call())
}

/** An empty list is never sent: OpenAI-compatible servers refuse it. */
function withTools(
  model: BaseChatModel,
  tools: readonly unknown[],
  tool_choice: unknown,
  strict: unknown,
): Callable {
  if (model.bindTools === undefined) {
    const name = model.getName()
    throw new ConfigError("deployments", `${name} cannot bind tools`, "set its profile.toolCalling to false")
  }
  const kwargs = {
    ...(tool_choice !== undefined && { tool_choice }),
    ...(strict !== undefined && { strict }),
  }
  return model.bindTools([...tools] as never[], kwargs as never)
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
      parseError: `the answer does not parse: ${error.message}`,
      unseen: true,
    }
  }
}

function isParseError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const code = (error as { lc_error_code?: unknown }).lc_error_code
  return code === "OUTPUT_PARSING_FAILURE" || error.name === "SyntaxError" || isInteropZodError(error)
}
