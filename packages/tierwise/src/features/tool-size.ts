import { convertToOpenAITool } from "@langchain/core/utils/function_calling"
import { InvalidRequestError } from "../spec/errors.ts"
import { OVERHEAD, type Size, sizeOfJson, sizeOfText } from "./overhead.ts"

/** Sizes by tool object, so that an agent's tools are converted once and not at every step. */
export type ToolSizes = WeakMap<object, Size>

/**
 * What a tool's definition takes of the input, as it is sent to a model. A tool object is not measured twice: change
 * a tool by making a new one.
 * @throws InvalidRequestError naming `tools[index]` if its schema cannot be written as JSON Schema.
 */
export function toolSize(tool: unknown, index: number, known: ToolSizes): Size {
  if (typeof tool !== "object" || tool === null) {
    throw new InvalidRequestError(
      `tools[${index}]`,
      `a tool cannot be ${String(tool)}`,
      "pass a tool or its definition",
    )
  }
  const before = known.get(tool)
  if (before !== undefined) return before
  const { whole, read } = definition(tool, index)
  const size = {
    tokens: sizeOfText(read.replaceAll(SCHEMA_WORDS, '"type"')).tokens + OVERHEAD.tool.tokens,
    bytes: sizeOfJson(whole).bytes + OVERHEAD.tool.bytes,
  }
  known.set(tool, size)
  return size
}

/** Words of JSON Schema that are one token each, as they are in every schema, and that look like more. */
const SCHEMA_WORDS = /"(?:properties|description|parameters|required)"/g

/** What is sent, and what of it the model is likely to read: the wrapping that calls it a function is the protocol's. */
function definition(tool: object, index: number): { readonly whole: string; readonly read: string } {
  try {
    const sent: { readonly function?: object } = convertToOpenAITool(tool)
    // A provider's own tool has no wrapping.
    return { whole: JSON.stringify(sent), read: JSON.stringify(sent.function ?? sent) }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new InvalidRequestError(
      `tools[${index}]`,
      `its definition cannot be written as JSON (${why})`,
      "use a schema that JSON Schema can express, without dates, transforms or cycles",
    )
  }
}
