import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, type AIMessageChunk, type BaseMessage } from "@langchain/core/messages"
import type { RunnableConfig } from "@langchain/core/runnables"
import { isInteropZodError } from "@langchain/core/utils/types"
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
 */
export async function* callModel(call: ModelCall): AsyncGenerator<Piece, void, undefined> {
  const { request, invocation, streamed, signal } = call
  const messages = [...request.messages]
  const { tool_choice, strict, ...callOptions } = invocation.callOptions
  const options = { ...callOptions, ...invocation.config, maxRetries: 0, ...(signal && { signal }) }
  if (invocation.structured !== undefined) {
    const { schema, config } = invocation.structured
    const model = call.model.withStructuredOutput(schema as never, { ...config, includeRaw: true })
    yield await parsedOrNot(async () => {
      const { raw, parsed } = (await model.invoke(messages, options)) as { raw: AIMessage; parsed: unknown }
      if (parsed !== null && parsed !== undefined) return { message: raw, parsed }
      return { message: raw, parseError: "the answer does not follow its schema" }
    })
    return
  }
  const choice = {
    ...(tool_choice !== undefined && { tool_choice }),
    ...(strict !== undefined && { strict }),
  }
  const model = withTools(call, choice)
  if (streamed) {
    for await (const message of await model.stream(messages, options)) yield { message }
  } else {
    const answer = async () => ({ message: await model.invoke(messages, options) })
    // Without a schema, JSON that does not parse is the provider's own: a broken body, not a poor answer.
    yield await (request.responseFormat === undefined ? answer() : parsedOrNot(answer))
  }
}

/** An empty list is never sent: OpenAI-compatible servers refuse it. */
function withTools({ model, request }: ModelCall, kwargs: Record<string, unknown>): Callable {
  if (request.tools === undefined || request.tools.length === 0) return model
  if (model.bindTools === undefined) {
    const name = model.getName()
    throw new ConfigError("deployments", `${name} cannot bind tools`, "set its profile.toolCalling to false")
  }
  return model.bindTools([...request.tools] as never[], kwargs)
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
    return { message: new AIMessage(""), parseError: `the answer does not parse: ${error.message}` }
  }
}

function isParseError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const code = (error as { lc_error_code?: unknown }).lc_error_code
  return code === "OUTPUT_PARSING_FAILURE" || error.name === "SyntaxError" || isInteropZodError(error)
}
