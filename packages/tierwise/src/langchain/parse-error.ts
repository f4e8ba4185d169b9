import { isInteropZodError } from "@langchain/core/utils/types"

/** True for what packages throw at JSON that does not parse, or does not follow its schema. */
export function isParseError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const code = (error as { lc_error_code?: unknown }).lc_error_code
  return code === "OUTPUT_PARSING_FAILURE" || error.name === "SyntaxError" || isInteropZodError(error)
}

/** Why an answer was no answer. */
export function doesNotParse({ message }: Error): string {
  return `the answer does not parse: ${message}`
}
