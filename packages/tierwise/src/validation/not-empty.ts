import type { ResponseValidator } from "../spec/validation.ts"

/** Rejects an answer with neither text nor tool calls. */
export function notEmpty(): ResponseValidator {
  return {
    name: "not-empty",
    validate({ message }) {
      const says = message.text.trim() !== "" || (message.tool_calls?.length ?? 0) > 0
      return says ? { accepted: true } : { accepted: false, reason: "the answer is empty", score: 0 }
    },
  }
}
