import { convertToOpenAITool } from "@langchain/core/utils/function_calling"
import { InvalidRequestError } from "../spec/errors.ts"
import { OVERHEAD, type Size, sizeOfJson } from "./overhead.ts"

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
  const { tokens, bytes } = sizeOfJson(definition(tool, index))
  const size = { tokens: tokens + OVERHEAD.tool.tokens, bytes: bytes + OVERHEAD.tool.bytes }
  known.set(tool, size)
  return size
}

function definition(tool: object, index: number): string {
  try {
    return JSON.stringify(convertToOpenAITool(tool))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new InvalidRequestError(
      `tools[${index}]`,
      `its definition cannot be written as JSON (${why})`,
      "use a schema that JSON Schema can express, without dates, transforms or cycles",
    )
  }
}
