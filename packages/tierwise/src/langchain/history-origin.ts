import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { AIMessage } from "@langchain/core/messages"

/** Packages whose forms are known. Other packages are handed what LangChain itself defines. */
export type Dialect = "openai" | "anthropic" | "ollama"

/** By `_llmType` of a model, and by `model_provider` of a reply. */
const DIALECTS: ReadonlyMap<unknown, Dialect> = new Map([
  ["openai", "openai"],
  ["azure_openai", "openai"],
  ["azure", "openai"],
  ["anthropic", "anthropic"],
  ["ollama", "ollama"],
])

/** Types of content blocks that one package alone writes; replies of old or foreign making do not name their provider. */
const BLOCK_DIALECTS: ReadonlyMap<unknown, Dialect> = new Map([
  ["thinking", "anthropic"],
  ["redacted_thinking", "anthropic"],
  ["tool_use", "anthropic"],
  ["server_tool_use", "anthropic"],
  ["web_search_tool_result", "anthropic"],
  ["output_text", "openai"],
])

/** Whatever tells one model's replies from another's. */
export interface Origin {
  readonly deploymentId: string | undefined
  readonly dialect: Dialect | undefined
  readonly modelName: string | undefined
}

/** What a target's own replies look like. */
export function originOf({
  deploymentId,
  model,
}: {
  readonly deploymentId?: string | undefined
  readonly model: BaseChatModel
}): Origin {
  const { _llmType, model: name, modelName } = model as unknown as Record<string, unknown>
  const type: unknown = typeof _llmType === "function" ? _llmType.call(model) : undefined
  return { deploymentId, dialect: DIALECTS.get(type), modelName: firstString([name, modelName]) }
}

/** True if that origin wrote the reply, false if another did, undefined if nothing tells. */
export function isFrom(message: AIMessage, origin: Origin): boolean | undefined {
  const written = dialectIn(message)
  const { dialect, deploymentId } = origin
  // A deployment that has been given another model since keeps its id, but not its past.
  if (written !== undefined && dialect !== undefined && written !== dialect) return false
  const stamp = stampOn(message)
  if (stamp !== undefined && deploymentId !== undefined) return stamp === deploymentId
  const name = modelNameIn(message)
  if (name !== undefined && origin.modelName !== undefined) return isSameModel(name, origin.modelName)
  if (written !== undefined) return written === dialect
  return name === undefined ? undefined : false
}

function dialectIn({ response_metadata, content }: AIMessage): Dialect | undefined {
  const named = DIALECTS.get(response_metadata["model_provider"])
  if (named !== undefined || typeof content === "string") return named
  for (const { type } of content) {
    const written = BLOCK_DIALECTS.get(type)
    if (written !== undefined) return written
  }
  return undefined
}

/** The deployment that a router noted on its reply. */
function stampOn({ response_metadata }: AIMessage): string | undefined {
  const { deployment } = (response_metadata["tierwise"] ?? {}) as { readonly deployment?: unknown }
  return firstString([deployment])
}

/** ChatAnthropic keeps the model of a streamed reply among its `additional_kwargs`. */
function modelNameIn({ response_metadata, additional_kwargs }: AIMessage): string | undefined {
  return firstString([
    response_metadata["model_name"],
    response_metadata["model"],
    additional_kwargs["model"],
  ])
}

/** Providers answer a short name with a dated one: `gpt-5` with `gpt-5-2025-08-07`. */
function isSameModel(one: string, other: string): boolean {
  return undated(one) === undated(other)
}

function undated(name: string): string {
  return name.toLowerCase().replace(/(?:-\d{8}|-\d{4}-\d{2}-\d{2}|[-:]latest)$/, "")
}

function firstString(values: readonly unknown[]): string | undefined {
  return values.find((value): value is string => typeof value === "string" && value !== "")
}
