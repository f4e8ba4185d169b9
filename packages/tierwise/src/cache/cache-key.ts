import { type AIMessage, type BaseMessage, getBufferString, type ToolMessage } from "@langchain/core/messages"
import { convertToOpenAITool } from "@langchain/core/utils/function_calling"
import { sha256 } from "@langchain/core/utils/hash"
import type { RouteRequest } from "../spec/request.ts"
import { normalizeText } from "./normalize-text.ts"
import { canonicalJson } from "./plain-json.ts"

/** Where an answer lies. */
export interface CacheKey {
  /** A digest of all that decides the answer. */
  readonly id: string
  /** LangChain's two names of an answer: the conversation as text, in which some are alike, and a digest of the rest. */
  readonly prompt: string
  readonly llmKey: string
}

/** One call, as far as it decides the answer. */
export interface CacheableCall {
  readonly request: RouteRequest
  /** What goes to the provider's package, and whatever LangGraph adds for itself. */
  readonly callOptions: Readonly<Record<string, unknown>>
  /** Set where the answer is to be parsed: its JSON Schema and the options of `withStructuredOutput`. */
  readonly structured?: StructuredCall | undefined
}

export interface StructuredCall {
  readonly schema: unknown
  readonly config: Readonly<Record<string, unknown>>
}

/** What may be cached, and what counts as the same question. */
export interface CacheRules {
  /**
   * Also calls that offer tools. Default false: an agent that asks again after a tool changed the world should get a new
   * decision, not the old one.
   */
  readonly tools?: boolean | undefined
  /**
   * Also calls that ask for variety: a stated `temperature` above 0, or `n` above 1. Default false.
   *
   * A temperature that nobody stated does not count. Most providers then sample too, but the caller has not asked for
   * several answers to one question, and leaves the choice among them to others; it is also what LangChain's own
   * cache does. If it did count, hardly any call would ever be cached.
   */
  readonly nonDeterministic?: boolean | undefined
  /**
   * Makes one text of all that ask the same. Default: line ends, blanks and Unicode composition, never case. It must
   * give the same text when given its own result. Pass `(text) => text` to tell every difference apart.
   */
  readonly normalize?: ((text: string) => string) | undefined
}

export interface CacheKeyOptions {
  /** The router's deployments: another set of models gives other answers. */
  readonly identity: string
  /** True if a deployment has a stated temperature above 0. */
  readonly sampled: boolean
  readonly rules?: CacheRules | undefined
}

/** Another number makes all keys of the past useless: raise it when a key's parts or an entry's form change. */
const KEY_VERSION = 1

/** Calls that name no tenant share one place of their own, as they do in budgets. */
const UNNAMED_TENANT = "default"

/**
 * Options that say how a call is run or traced, and not what is asked: LangChain's configuration, what LangGraph 1.7
 * and `createAgent` hand down to every model, and the version of the event stream.
 */
const RUN_OPTIONS: ReadonlySet<string> = new Set(
  (
    "callbacks tags metadata runName runId configurable recursionLimit maxConcurrency timeout signal maxRetries " +
    "version promptIndex " +
    "context store writer interrupt control executionInfo serverInfo heartbeat outputKeys streamMode subgraphs debug " +
    "interruptBefore interruptAfter checkpointDuring durability ls_structured_output_format"
  ).split(" "),
)

/**
 * The key of a call, undefined if it is not to be cached: because of the rules, or because an option cannot be
 * compared (a function, a class instance, a cycle).
 *
 * @throws what `rules.normalize` throws, and TypeError if it gives no text.
 */
export function cacheKey(call: CacheableCall, options: CacheKeyOptions): CacheKey | undefined {
  const { request, callOptions } = call
  const { sampled, rules = {} } = options
  if (rules.tools !== true && offersTools(request, callOptions)) return undefined
  if (rules.nonDeterministic !== true && (sampled || asksForVariety(callOptions))) return undefined
  const llmKey = optionsKey(call, options)
  if (llmKey === undefined) return undefined

  const normalize = rules.normalize ? textOnly(rules.normalize) : normalizeText
  const messages = canonicalJson([
    llmKey,
    request.messages.map((message) => messageParts(message, normalize)),
  ])
  if (messages === undefined) return undefined
  const id = sha256(messages) as string
  return { id, prompt: promptOf(request.messages, normalize) ?? id, llmKey }
}

/** A digest of everything but the conversation; undefined if an option cannot be compared. */
export function optionsKey(
  { request, callOptions, structured }: CacheableCall,
  { identity, rules = {} }: CacheKeyOptions,
): string | undefined {
  // How long it may take, how urgent it is and where its prompt is warm say nothing of what is asked.
  const {
    messages: _,
    tools,
    scopes,
    deadlineMs: _ms,
    priority: _priority,
    session: _session,
    ...hints
  } = request
  const parts = canonicalJson({
    version: KEY_VERSION,
    identity,
    tenant: scopes?.["tenant"] ?? UNNAMED_TENANT,
    // Two ways to normalise may give the same text for different questions.
    normalize: rules.normalize ? "own" : "default",
    hints,
    tools: (tools ?? []).map(toolParts),
    structured,
    options: Object.fromEntries(Object.entries(callOptions).filter(([name]) => !RUN_OPTIONS.has(name))),
  })
  return parts === undefined ? undefined : (sha256(parts) as string)
}

/** What LangChain calls the prompt of a cached chat; undefined for messages that it cannot write. */
function promptOf(messages: readonly BaseMessage[], normalize: (text: string) => string): string | undefined {
  try {
    return messages.map((message) => getBufferString([withText(message, normalize)])).join("\n")
  } catch {
    return undefined
  }
}

/** The message with its words normalised, as far as writing it as text goes. */
function withText(message: BaseMessage, normalize: (text: string) => string): BaseMessage {
  const content = contentParts(message.content, normalize) as BaseMessage["content"]
  return Object.assign(Object.create(message) as BaseMessage, { content })
}

function offersTools(
  { tools = [] }: RouteRequest,
  { functions }: Readonly<Record<string, unknown>>,
): boolean {
  return tools.length > 0 || (Array.isArray(functions) && functions.length > 0)
}

function asksForVariety({ temperature, n }: Readonly<Record<string, unknown>>): boolean {
  const isAbove = (value: unknown, most: number) =>
    value !== undefined && value !== null && !(Number(value) <= most)
  return isAbove(temperature, 0) || isAbove(n, 1)
}

function textOnly(normalize: (text: string) => string): (text: string) => string {
  return (text) => {
    const normalized: unknown = normalize(text)
    if (typeof normalized === "string") return normalized
    throw new TypeError(`cache.normalize gave ${typeof normalized}; it must give a string`)
  }
}

/** What a model is shown of a message. Ids, usage and response metadata are the story of an answer, not its words. */
function messageParts(message: BaseMessage, normalize: (text: string) => string): Record<string, unknown> {
  const { role, tool_calls, invalid_tool_calls, tool_call_id, status } = message as Partial<AIMessage> &
    Partial<ToolMessage> & { role?: unknown }
  const { tool_calls: raw, ...additional_kwargs } = message.additional_kwargs
  const calls = (tool_calls ?? []).map(({ id, name, args }) => ({ id, name, args }))
  return {
    type: message.getType(),
    role,
    name: message.name,
    content: contentParts(message.content, normalize),
    tool_calls: calls,
    invalid_tool_calls: (invalid_tool_calls ?? []).map(({ id, name, args }) => ({ id, name, args })),
    tool_call_id,
    status,
    // The calls again, in the provider's own form.
    additional_kwargs: calls.length > 0 ? additional_kwargs : { ...additional_kwargs, tool_calls: raw },
  }
}

function contentParts(content: BaseMessage["content"], normalize: (text: string) => string): unknown {
  if (typeof content === "string") return normalize(content)
  if (!Array.isArray(content)) return content
  const blocks = content.map((block): unknown => {
    const { type, text } = block as { type?: unknown; text?: unknown }
    return type === "text" && typeof text === "string" ? { ...block, text: normalize(text) } : block
  })
  // A text alone in a list is that text; interfaces send the one, programs the other.
  const [first, ...others] = blocks as Record<string, unknown>[]
  return first !== undefined && others.length === 0 && isPlainText(first) ? first["text"] : blocks
}

function isPlainText({ type, text, ...more }: Record<string, unknown>): boolean {
  return type === "text" && typeof text === "string" && Object.keys(more).length === 0
}

/** What a model is shown of a tool, with what some packages read beside it. */
function toolParts(tool: unknown): Record<string, unknown> {
  const { extras, metadata } = tool as { extras?: unknown; metadata?: unknown }
  return { tool: convertToOpenAITool(tool as Parameters<typeof convertToOpenAITool>[0]), extras, metadata }
}
