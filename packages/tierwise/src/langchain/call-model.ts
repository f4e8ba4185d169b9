import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, type BaseMessage } from "@langchain/core/messages"
import type { RunnableConfig } from "@langchain/core/runnables"
import { isInteropZodSchema } from "@langchain/core/utils/types"
import { ConfigError } from "../spec/errors.ts"
import type { Gate, RouteRequest, Scopes } from "../spec/request.ts"
import { shownBefore } from "./curtain.ts"
import { historyFor } from "./history.ts"
import { inContext } from "./in-context.ts"
import { doesNotParse, isParseError } from "./parse-error.ts"
import type { Piece } from "./piece.ts"
import { type Callable, streamPieces } from "./stream-pieces.ts"

/** What the door knows about a call that no room needs to know. */
export interface Invocation {
  /** Options for the provider's package, passed through untouched. */
  readonly callOptions: Readonly<Record<string, unknown>>
  /** Callbacks, tags and metadata for the deployment's own run. */
  readonly config: RunnableConfig
  /** Ends the call, whatever it waits for. */
  readonly signal?: AbortSignal | undefined
  /**
   * False: nobody has set the call a time, and packages are not told of its signal, which would cost each call about a
   * twentieth (OpenAI's makes another one of it). Should it fire all the same, nobody waits for them any more. Default true.
   */
  readonly abortsPackage?: boolean | undefined
  /** The schema as the user gave it, with the options of `withStructuredOutput`. */
  readonly structured?: StructuredOutput | undefined
  /** Runs work of ours (an estimator's, a validator's) so that models it calls become children of the router's run. */
  readonly within?: (<T>(work: () => Promise<T>) => Promise<T>) | undefined
  /** The caller's own; else the router's. */
  readonly gate?: Gate | undefined
  readonly maxRetries?: number | undefined
  /** The id of the message that the streamed chunks belong to. Default: what the package names them by. */
  readonly messageId?: string | undefined
}

export interface StructuredOutput {
  readonly schema: unknown
  readonly config: Readonly<Record<string, unknown>>
}

export interface ModelCall {
  readonly model: BaseChatModel
  /** Whose model it is: the replies that it has given before stay as they are. */
  readonly deploymentId?: string | undefined
  readonly request: RouteRequest
  /** Whose money a router among the deployments spends: the request's own scopes, and the request. */
  readonly scopes: Scopes
  readonly invocation: Invocation
  readonly streamed: boolean
  /** Told when a handler has shown words of an answer that is not streamed to us. */
  readonly shown?: Promise<void> | undefined
  readonly signal: AbortSignal | undefined
  /** The cap of this call, for a model that takes it as an option; others were given it before. */
  readonly maxOutputTokens?: number | undefined
  /** For the provider's server, where the package can send them for one call. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * Calls a deployment's model in its own provider's form: tools are bound only now that the provider is known, and the
 * schema goes through the model's own `withStructuredOutput`. Retries are the router's, so the package does none.
 *
 * What is wrong with tools or schema is thrown at once; what the returned pieces throw comes from the provider.
 */
export function callModel(call: ModelCall): AsyncIterable<Piece> {
  const { model, deploymentId, request, scopes, invocation, streamed, shown, signal } = call
  const { maxOutputTokens, headers } = call
  const messages = historyFor([...request.messages], { model, deploymentId })
  const given = {
    ...invocation.callOptions,
    ...invocation.config,
    ...(routes(model) ? { scopes, maxOutputTokens } : { maxRetries: 0 }),
    ...(headers && withHeaders(invocation.callOptions, headers)),
    ...(signal && (invocation.abortsPackage !== false || routes(model)) && { signal }),
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
  if (streamed) return streamPieces(bound, messages, options, wantsSchema, invocation.messageId)
  const ask = async (): Promise<Piece> => ({ message: await bound.invoke(messages, options) })
  // Without a schema, JSON that does not parse is the provider's own: a broken body, not a poor answer.
  return onePiece(given, wantsSchema ? () => parsedOrNot(ask) : ask, shown)
}

/** As call options: OpenAI's package takes headers in its `options`, Anthropic's as they are. */
function withHeaders(
  callOptions: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>>,
): Record<string, unknown> {
  const options = callOptions["options"] as { readonly headers?: object } | undefined
  return {
    options: { ...options, headers: { ...options?.headers, ...headers } },
    headers: { ...(callOptions["headers"] as object | undefined), ...headers },
  }
}

/** A router among the deployments retries for itself, holds its own money for the same payer, and sets its own caps. */
function routes(model: BaseChatModel): boolean {
  const { _llmType: type } = model as { _llmType?: () => string }
  return type !== undefined && type.call(model) === "tierwise"
}

async function* onePiece(
  config: RunnableConfig,
  ask: () => Promise<Piece>,
  shown: Promise<void> | undefined,
): AsyncGenerator<Piece, void, undefined> {
  const answer = inContext(config, ask)
  if (shown !== undefined && (await shownBefore(shown, answer))) yield SHOWN
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
