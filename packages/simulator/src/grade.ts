import { isDeepStrictEqual } from "node:util"
import { Ajv } from "ajv"
import type { JsonValue, WireToolCall } from "./protocol.ts"
import { sentencesOf, wordCount } from "./reading/sentences.ts"
import type { Reference } from "./skills/family.ts"
import type { SyntheticTask } from "./tasks.ts"

/** What a model answered, as any client gives it. */
export interface GradedReply {
  readonly content?: string | null | undefined
  /** As on the wire, or with the arguments parsed (`{ name, arguments }` or `{ name, args }`). */
  readonly toolCalls?: readonly GradedToolCall[] | undefined
}

export type GradedToolCall =
  | Pick<WireToolCall, "function">
  | { readonly name: string; readonly arguments: unknown }
  | { readonly name: string; readonly args: unknown }

export interface Grade {
  readonly correct: boolean
  readonly reason: string
}

/** Right or wrong by the task's own key: numbers, records and arguments must all be exact; wording is free. */
export function grade(task: Pick<SyntheticTask, "reference">, reply: GradedReply): Grade {
  const { reference } = task
  if (reference.kind !== "tool-calls" && (reply.content ?? "") === "") return wrong("no text was given")
  const text = reply.content ?? ""
  switch (reference.kind) {
    case "number":
      return gradeNumber(text, reference.value)
    case "text":
      return verdict(lastSaid(text, reference.value), `the answer names ${reference.value}`)
    case "label":
      return gradeLabel(text, reference.value)
    case "greeting":
      return verdict(/\b(?:hello|hi|welcome)\b/i.test(text), "it greets back")
    case "records":
      return gradeRecords(text, reference.records)
    case "object":
      return gradeObject(text, reference)
    case "tool-calls":
      return gradeCalls(reply.toolCalls ?? [], reference.calls)
    case "length":
      return verdict(wordCount(text) >= reference.words, `${wordCount(text)} words of ${reference.words}`)
    default:
      return reference satisfies never
  }
}

function verdict(correct: boolean, reason: string): Grade {
  return { correct, reason: correct ? reason : `not so: ${reason}` }
}

function wrong(reason: string): Grade {
  return { correct: false, reason }
}

/** The last number is the answer; what comes before is how it was reached. */
function gradeNumber(text: string, value: number): Grade {
  const numbers = text.replaceAll(/(?<=\d),(?=\d{3})/g, "").match(/-?\d+(?:\.\d+)?/g) ?? []
  const last = Number(numbers.at(-1))
  return last === value
    ? { correct: true, reason: `the answer is ${value}` }
    : wrong(`${last} instead of ${value}`)
}

function lastSaid(text: string, value: string): boolean {
  return (sentencesOf(text).at(-1) ?? "").toLowerCase().includes(value.toLowerCase())
}

function gradeLabel(text: string, label: string): Grade {
  const said = (sentencesOf(text).at(-1) ?? "").toLowerCase().replace(/[^\w -]/g, "")
  return verdict(
    said === label.toLowerCase() || said.endsWith(` ${label.toLowerCase()}`),
    `the label is ${label}`,
  )
}

type Row = readonly string[]

function gradeRecords(text: string, records: readonly Readonly<Record<string, string>>[]): Grade {
  const wanted = records.map((record) => rowKey(Object.values(record)))
  const given = rowsOf(text).map(rowKey)
  const missing = wanted.filter((row) => !given.includes(row)).length
  if (missing > 0) return wrong(`${missing} of ${wanted.length} records are missing or wrong`)
  const extra = given.length - wanted.length
  return extra > 0
    ? wrong(`${extra} records too many`)
    : { correct: true, reason: `all ${wanted.length} records` }
}

// Order inside a record does not matter: a table and an object name the same values.
function rowKey(row: Row): string {
  return JSON.stringify(row.map((value) => value.trim().toLowerCase()).sort())
}

function rowsOf(text: string): readonly Row[] {
  const parsed = parsedJson(text)
  if (parsed === undefined)
    return text
      .split("\n")
      .filter((line) => line.includes("|"))
      .map((line) => line.replace(/^\s*\||\|\s*$/g, "").split("|"))
  const list = [parsed, ...(isPlainObject(parsed) ? Object.values(parsed) : [])].find((value) =>
    Array.isArray(value),
  )
  return Array.isArray(list)
    ? list.map((record) => (isPlainObject(record) ? Object.values(record).map(String) : []))
    : []
}

function gradeObject(text: string, { schema, value }: Extract<Reference, { kind: "object" }>): Grade {
  const parsed = parsedJson(text)
  if (parsed === undefined) return wrong("it is not JSON")
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true })
  if (!ajv.validate(schema, parsed)) return wrong(`it breaks the schema: ${ajv.errorsText()}`)
  return verdict(isDeepStrictEqual(parsed, value), "every field has the value of the text")
}

function gradeCalls(
  given: readonly GradedToolCall[],
  wanted: Extract<Reference, { kind: "tool-calls" }>["calls"],
): Grade {
  const left = given.map(readCall)
  for (const call of wanted) {
    const at = left.findIndex((candidate) => isDeepStrictEqual(candidate, call))
    if (at === -1) return wrong(`the call of ${call.name} is missing or has other arguments`)
    left.splice(at, 1)
  }
  return left.length > 0
    ? wrong(`${left[0]?.name} should not have been called`)
    : { correct: true, reason: `${wanted.length} calls as wanted` }
}

function readCall(call: GradedToolCall): { name: string; arguments: unknown } {
  if ("function" in call) return { name: call.function.name, arguments: parsedJson(call.function.arguments) }
  return { name: call.name, arguments: "args" in call ? call.args : call.arguments }
}

function parsedJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    return undefined
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
