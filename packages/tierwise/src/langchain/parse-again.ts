import type { AIMessage } from "@langchain/core/messages"
import { isSerializableSchema } from "@langchain/core/utils/standard_schema"
import { interopSafeParseAsync, isInteropZodSchema } from "@langchain/core/utils/types"
import type { Answer } from "../spec/validation.ts"
import type { StructuredOutput } from "./call-model.ts"

/**
 * A stored answer under the schema that it was given for; undefined if it does not follow it. `name` is the schema's: some
 * providers are given it as a tool to call.
 */
export async function parseAgain(
  message: AIMessage,
  structured: StructuredOutput | undefined,
  name: string | undefined,
): Promise<Answer | undefined> {
  if (structured === undefined) return { message }
  const calls = message.tool_calls ?? []
  const value = calls.length > 0 ? calls.find((call) => call.name === name)?.args : jsonOf(message.text)
  const parsed = value === undefined ? undefined : await checked(value, structured.schema)
  return parsed === undefined || parsed === null ? undefined : { message, parsed, conforms: true }
}

async function checked(value: unknown, schema: unknown): Promise<unknown> {
  if (isInteropZodSchema(schema)) {
    const result = await interopSafeParseAsync(schema, value)
    return result.success ? result.data : undefined
  }
  if (isSerializableSchema(schema)) {
    const result = await schema["~standard"].validate(value)
    return "value" in result ? result.value : undefined
  }
  return value
}

/** Models like to wrap JSON in a fence. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\s*```(?:json)?\s*|\s*```\s*$/g, ""))
  } catch {
    return undefined
  }
}
