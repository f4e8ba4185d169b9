import {
  type ChatMessage,
  type ChatRequest,
  type JsonObject,
  type ToolDefinition,
  textOf,
} from "./protocol.ts"

/** A tool call with its arguments read. */
export interface ToolCall {
  readonly name: string
  readonly arguments: JsonObject
}

/** A request as a model takes it in. */
export interface Prompt {
  /** The last message of the user. */
  readonly ask: string
  /** Everything that was given to read: system texts, the user's messages and tool results, in order. */
  readonly text: string
  /** Calls the model made since the user last spoke, and what came back. */
  readonly made: readonly ToolCall[]
  readonly results: readonly { readonly name: string; readonly content: string }[]
  readonly tools: readonly ToolDefinition[]
  /** A tool's name, or whether any must be called. */
  readonly toolChoice: "auto" | "none" | "required" | { readonly name: string }
  readonly parallelCalls: boolean
  /** The JSON Schema of the answer; an empty one in plain JSON mode. */
  readonly schema: JsonObject | undefined
}

// Reading is linear, but it is done by many patterns: beyond this nothing is looked at.
const READABLE_CHARACTERS = 600_000

export function promptOf(request: ChatRequest): Prompt {
  const { messages } = request
  const lastUser = messages.findLastIndex((message) => message.role === "user")
  const since = messages.slice(lastUser + 1)
  const made = since.flatMap((message) => message.tool_calls ?? [])
  const choice = request.tool_choice ?? "auto"
  return {
    ask: clipped(textOf(messages[lastUser] ?? { role: "user", content: "" })),
    text: clipped(
      messages
        .filter((message) => message.role !== "assistant")
        .map(textOf)
        .join("\n\n"),
    ),
    made: made.map((call) => ({
      name: call.function.name,
      arguments: readArguments(call.function.arguments),
    })),
    results: since.filter(isToolMessage).map((message) => ({
      name: made.find((call) => call.id === message.tool_call_id)?.function.name ?? "tool",
      content: textOf(message),
    })),
    tools: request.tools ?? [],
    toolChoice: typeof choice === "object" ? { name: choice.function.name } : choice,
    parallelCalls: request.parallel_tool_calls ?? true,
    schema: schemaOf(request),
  }
}

function clipped(text: string): string {
  return text.length > READABLE_CHARACTERS ? text.slice(-READABLE_CHARACTERS) : text
}

function isToolMessage(message: ChatMessage): boolean {
  return message.role === "tool"
}

function schemaOf({ response_format: format }: ChatRequest): JsonObject | undefined {
  if (format?.type === "json_schema") return format.json_schema.schema ?? {}
  return format?.type === "json_object" ? {} : undefined
}

function readArguments(text: string): JsonObject {
  try {
    return JSON.parse(text) as JsonObject
  } catch {
    return {}
  }
}
