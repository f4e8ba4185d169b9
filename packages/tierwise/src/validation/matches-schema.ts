import { Validator } from "@cfworker/json-schema"
import type { Answer, ResponseValidator } from "../spec/validation.ts"

/**
 * Rejects an answer that is not JSON following `schema`. Without one, the schema the request asks for counts, and
 * requests that ask for none are accepted. Tool calls are not answers yet and are accepted.
 *
 * @param schema JSON Schema, draft 2020-12.
 */
export function matchesSchema(schema?: Readonly<Record<string, unknown>>): ResponseValidator {
  const compiled = new WeakMap<object, Validator>()
  return {
    name: "matches-schema",
    validate(answer, { responseFormat }) {
      const wanted = schema ?? responseFormat?.schema
      if (wanted === undefined) return { accepted: true }
      if (schema === undefined && answer.conforms === true) return { accepted: true }
      if (answer.parseError !== undefined) return { accepted: false, reason: answer.parseError, score: 0 }
      const callsTools = (answer.message.tool_calls?.length ?? 0) > 0
      if (callsTools && answer.parsed === undefined) return { accepted: true }
      const value = jsonOf(answer)
      if (value === undefined) return { accepted: false, reason: "the answer is not JSON", score: 0 }
      const validator = compiled.get(wanted) ?? new Validator(wanted, "2020-12", false)
      compiled.set(wanted, validator)
      const { valid, errors } = validator.validate(value)
      const first = errors.at(-1)
      const reason = `the answer breaks its schema at ${first?.instanceLocation}: ${first?.error}`
      return valid ? { accepted: true } : { accepted: false, reason, score: 0 }
    },
  }
}

function jsonOf({ parsed, message }: Answer): unknown {
  if (parsed !== undefined) return parsed
  try {
    return JSON.parse(message.text)
  } catch {
    return undefined
  }
}
