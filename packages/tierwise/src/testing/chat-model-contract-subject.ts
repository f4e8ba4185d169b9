import type { BaseCache } from "@langchain/core/caches"
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base"
import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { AIMessage, AIMessageChunk, type UsageMetadata } from "@langchain/core/messages"
import type { Runnable } from "@langchain/core/runnables"
import { type ContractCase, must } from "./contract.ts"

export interface ChatModelUnderTest {
  /** A fresh model, as its users make it. */
  readonly make: () => BaseChatModel
  /** What is not asked of a model that cannot do it. */
  readonly supports?: Partial<ChatModelSupport> | undefined
  /** Other words, for a model that does not understand these. */
  readonly prompts?: Partial<ContractPrompts> | undefined
  /** A fresh model that keeps its answers in this cache, if it can have one. */
  readonly cached?: ((cache: BaseCache) => BaseChatModel) | undefined
}

export interface ChatModelSupport {
  /** Binding and calling tools. Default true. */
  readonly tools: boolean
  /** `tool_choice`: "any", "none" and a tool's name. Default true. */
  readonly toolChoice: boolean
  /** Several tool calls in one answer. Default true. */
  readonly parallelTools: boolean
  /** `withStructuredOutput`. Default true. */
  readonly structuredOutput: boolean
  /** Stop sequences. Default true. */
  readonly stop: boolean
  /** Reporting the tokens used. Default true. */
  readonly usage: boolean
  /** Counting tokens without a request; LangChain's default downloads tables for it. Default true. */
  readonly localTokenCount: boolean
  /** Pictures in a message. Default false. */
  readonly images: boolean
  /** The same words for the same question, always. Default false. */
  readonly deterministic: boolean
}

export interface ContractPrompts {
  /** Any answer of at least three words. */
  readonly talk: string
  /** Needs `get_weather` for Rome. */
  readonly weather: string
  /** Needs `get_weather` and `get_time`, both for Rome. */
  readonly weatherAndTime: string
  /** Holds the name Ada and the age 36. */
  readonly record: string
  /** Holds a person (Ada, 36), a city (Oslo) and two tags (tall, quick). */
  readonly nestedRecord: string
}

const SUPPORT: ChatModelSupport = {
  tools: true,
  toolChoice: true,
  parallelTools: true,
  structuredOutput: true,
  stop: true,
  usage: true,
  localTokenCount: true,
  images: false,
  deterministic: false,
}

const PROMPTS: ContractPrompts = {
  talk: "Hello! How are you today?",
  weather: "What is the weather in Rome?",
  weatherAndTime: "What is the weather in Rome? What is the local time in Rome?",
  record: "Turn this note into a record.\n\nName: Ada. Put down 36 as the age.",
  nestedRecord:
    "Turn this note into a record.\n\nPerson name: Ada. Person age: 36. City: Oslo. Tags: tall, quick.",
}

export interface ModelUnderTest {
  readonly make: () => BaseChatModel
  readonly supports: ChatModelSupport
  readonly prompts: ContractPrompts
  readonly cached: ((cache: BaseCache) => BaseChatModel) | undefined
}

export function readUnderTest({ make, supports, prompts, cached }: ChatModelUnderTest): ModelUnderTest {
  return { make, supports: { ...SUPPORT, ...supports }, prompts: { ...PROMPTS, ...prompts }, cached }
}

/** A model, or a model with something bound to it. */
export type Asked = Runnable<BaseLanguageModelInput, AIMessageChunk>

/** A case with a fresh model of its own. */
export function caseWith({
  make,
}: ModelUnderTest): (name: string, run: (model: BaseChatModel) => Promise<void>) => ContractCase {
  return (name, run) => ({ name, run: async () => run(make()) })
}

export function mustBeReply(reply: unknown, said = "the answer"): asserts reply is AIMessage {
  must(AIMessage.isInstance(reply), `${said} is no AIMessage but ${describe(reply)}`)
}

export function mustSpeak(reply: unknown, said = "the answer"): asserts reply is AIMessage {
  mustBeReply(reply, said)
  must(typeof reply.text === "string" && reply.text !== "", `${said} has no text`)
}

export function mustHaveUsage(message: object, said = "the answer"): UsageMetadata {
  const usage = usageOf(message)
  must(usage !== undefined, `${said} has no usage_metadata`)
  for (const name of ["input_tokens", "output_tokens", "total_tokens"] as const) {
    must(usage[name] > 0, `${said} has ${name} of ${usage[name]}`)
  }
  const sum = usage.input_tokens + usage.output_tokens
  must(usage.total_tokens === sum, `${said} has total_tokens of ${usage.total_tokens}, which is not ${sum}`)
  return usage
}

/** LangChain's declaration of `usage_metadata` comes out as undefined under strict compiler options. */
export function usageOf(message: object): UsageMetadata | undefined {
  return (message as { readonly usage_metadata?: UsageMetadata }).usage_metadata
}

export interface Streamed {
  readonly chunks: readonly AIMessageChunk[]
  /** All of them joined. */
  readonly whole: AIMessageChunk
}

/** Reads a stream to its end, joining as an agent would. */
export async function readAll(stream: AsyncIterable<AIMessageChunk>): Promise<Streamed> {
  const chunks: AIMessageChunk[] = []
  for await (const chunk of stream) {
    must(
      AIMessageChunk.isInstance(chunk),
      `a piece of the stream is no AIMessageChunk but ${describe(chunk)}`,
    )
    chunks.push(chunk)
  }
  const [first, ...others] = chunks
  must(first !== undefined, "the stream had no chunks")
  return { chunks, whole: others.reduce((joined, chunk) => joined.concat(chunk), first) }
}

export function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return typeof value
  return value.constructor.name
}

/** What `work` threw; undefined if it threw nothing. */
export async function errorOf(
  work: () => Promise<unknown>,
): Promise<{ readonly error: unknown } | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    return { error }
  }
}
