import type { Serialized } from "@langchain/core/load/serializable"
import { OVERHEAD, type Size, sizeOfJson } from "../features/overhead.ts"

/** A model that is about to be called, as LangChain tells callback handlers of it. */
export interface CalledModel {
  /** Whose it is: `openai`, `anthropic`, `ollama`, …; undefined: its package does not say. */
  readonly provider: string | undefined
  /** Its name there, e.g. `gpt-5`; undefined: its package does not say. */
  readonly name: string | undefined
  /** Id of the router's deployment, if a router calls it. */
  readonly deployment: string | undefined
  /** Of the run: the caller's own, and what LangChain adds (`ls_provider`, …). */
  readonly metadata: Readonly<Record<string, unknown>>
  /** What is sent beside the messages, as the model's package names it. */
  readonly invocationParams: Readonly<Record<string, unknown>>
  /** The model itself, as far as it can be written down. Secrets are left out. */
  readonly serialized: Serialized
}

type Fields = Readonly<Record<string, unknown>>

export function calledModel(
  serialized: Serialized,
  extraParams: Fields | undefined,
  metadata: Fields = {},
): CalledModel {
  const invocationParams = fieldsOf(extraParams?.["invocation_params"])
  const { ls_provider: provider, ls_model_name: named, tierwise_deployment: deployment } = metadata
  const names = [
    named,
    invocationParams["model"],
    invocationParams["model_name"],
    invocationParams["modelId"],
  ]
  return {
    provider: typeof provider === "string" ? provider.toLowerCase() : undefined,
    name: names.find((name) => typeof name === "string" && name !== "") as string | undefined,
    deployment: typeof deployment === "string" ? deployment : undefined,
    metadata,
    invocationParams,
    serialized,
  }
}

type Path = readonly string[]

/** Where packages put the cap of one answer: OpenAI, Anthropic and most others; Ollama; Google; Bedrock; Hugging Face. */
const OUTPUT_LIMITS: readonly Path[] = [
  ["max_tokens"],
  ["max_completion_tokens"],
  ["max_output_tokens"],
  ["maxTokens"],
  ["maxOutputTokens"],
  ["options", "num_predict"],
  ["generationConfig", "maxOutputTokens"],
  ["inferenceConfig", "maxTokens"],
  ["max_new_tokens"],
]

/** Tokens that one answer is capped at, as it is sent; of several caps the largest. Undefined: none is sent. */
export function outputLimitOf({ invocationParams, metadata }: CalledModel): number | undefined {
  const sent = OUTPUT_LIMITS.map((path) => countAt(invocationParams, path)).filter(isDefined)
  return sent.length > 0 ? Math.max(...sent) : countAt(metadata, ["ls_max_tokens"])
}

/** `best_of` are made and billed, though fewer are returned. */
const ANSWERS: readonly Path[] = [
  ["n"],
  ["best_of"],
  ["candidateCount"],
  ["generationConfig", "candidateCount"],
]

/** How many answers the call makes. */
export function answersOf({ invocationParams }: CalledModel): number {
  return Math.max(1, ...ANSWERS.map((path) => countAt(invocationParams, path)).filter(isDefined))
}

const TOOL_FIELDS: readonly string[] = ["tools", "functions"]

const SCHEMA_FIELDS: readonly string[] = [
  "response_format",
  "text",
  "format",
  "output_config",
  "output_format",
]

/**
 * What the model reads beside the messages. The likely tokens are those of tools and schema; the bytes are those of
 * everything that could be words, because a hold must not be too small.
 */
export function sizeBeside({ invocationParams }: CalledModel): Size {
  let [tokens, bytes] = [0, 0]
  for (const [name, value] of Object.entries(invocationParams)) {
    const json = jsonOf(value)
    if (json === undefined) continue
    const said = sizeOfJson(json)
    bytes += said.bytes
    const around = sizeAround(name, value)
    if (around === undefined) continue
    bytes += around.bytes
    tokens += said.tokens + around.tokens
  }
  return { tokens, bytes }
}

/** What templates write around tools and schemas; undefined for what is neither. */
function sizeAround(name: string, value: unknown): Size | undefined {
  if (TOOL_FIELDS.includes(name) && Array.isArray(value) && value.length > 0) {
    const { firstTool, tool } = OVERHEAD
    return {
      tokens: firstTool.tokens + value.length * tool.tokens,
      bytes: firstTool.bytes + value.length * tool.bytes,
    }
  }
  return SCHEMA_FIELDS.includes(name) && Object.keys(fieldsOf(value)).length > 0 ? OVERHEAD.schema : undefined
}

/** Undefined for numbers and switches, which are no words, and for what could not be sent. */
function jsonOf(value: unknown): string | undefined {
  if (typeof value !== "string" && (typeof value !== "object" || value === null)) return undefined
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

function countAt(from: unknown, path: Path): number | undefined {
  let at = from
  for (const field of path) at = fieldsOf(at)[field]
  return typeof at === "number" && Number.isSafeInteger(at) && at > 0 ? at : undefined
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {}
}

function isDefined<T>(value: T | undefined): value is T {
  return value !== undefined
}
