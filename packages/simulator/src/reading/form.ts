import type { Mind } from "../mind.ts"
import type { JsonObject, JsonValue } from "../protocol.ts"
import { readSchema, type SchemaNode, written } from "./schema.ts"
import { sentencesOf } from "./sentences.ts"
import { type Blank, type Reader, readerOf, readHinted, readLabelled, spoken } from "./values.ts"

export interface FilledForm {
  readonly value: JsonObject
  /** How many fields had to be filled. */
  readonly fields: number
}

export interface FormOptions {
  readonly text: string
  readonly mind: Mind
  /** A result that was worked out: it goes into the first place that is made for it. */
  readonly result?: JsonValue | undefined
}

/**
 * Fills in a JSON Schema from a text. Values are found by what the text calls them, else by what they look like; what
 * is not there becomes null, is left out, or is given an empty value, in that order of what the schema allows. Beyond
 * what a mind carries, fields are lost: left out, or written in a form that the schema does not allow.
 */
export function fillForm(schema: JsonObject, options: FormOptions): FilledForm {
  const desk: Desk = { ...options, reader: readerOf(options.text), fields: 0 }
  const value = fillObject(readSchema(schema), [], desk)
  return { value, fields: desk.fields }
}

/** Which share of the required fields the text has a value for, 0 … 1; 1 if none is required. */
export function shareFillable(schema: JsonObject, text: string): number {
  const node = readSchema(schema)
  const reader = readerOf(text)
  const required = node.properties.filter(([key]) => node.required.has(key))
  const found = required.filter(([key, field]) => readField(field, [key], { text, reader }) !== undefined)
  return required.length === 0 ? 1 : found.length / required.length
}

interface Desk extends FormOptions {
  readonly reader: Reader
  fields: number
  result?: JsonValue | undefined
}

const LOST = Symbol("lost")

function fillObject(node: SchemaNode, path: readonly string[], desk: Desk): JsonObject {
  const entries: [string, JsonValue][] = []
  for (const [key, property] of node.properties) {
    const value = fillField(property, [...path, key], node.required.has(key), desk)
    if (value !== LOST && value !== undefined) entries.push([key, value])
  }
  return Object.fromEntries(entries)
}

function fillField(
  node: SchemaNode,
  path: readonly string[],
  required: boolean,
  desk: Desk,
): JsonValue | undefined | typeof LOST {
  if (node.type === "object" && node.properties.length > 0) return fillObject(node, path, desk)
  if (node.type === "array" && node.items?.type === "object") return fillRecords(node.items, desk)
  const found = takeResult(node, path, desk) ?? readField(node, path, desk)
  desk.fields += 1
  const lost = !desk.mind.carries("fields", desk.fields)
  if (lost) return desk.mind.luck(`lost field ${desk.fields}`).chance(0.5) ? LOST : slovenly(found)
  if (found !== undefined) return found
  if (node.nullable) return null
  return required ? emptyValue(node, desk) : undefined
}

// Labels would be looked for first in a form; a result that was asked for comes before them.
function takeResult(node: SchemaNode, path: readonly string[], desk: Desk): JsonValue | undefined {
  const { result } = desk
  if (result === undefined || !fits(result, node)) return undefined
  if (node.choices === undefined && !RESULT_KEY.test(spoken(path.at(-1) ?? ""))) return undefined
  desk.result = undefined
  return node.type === "string" ? written(result) : result
}

const RESULT_KEY = /\b(?:answer|result|value|total|output|response|label|category|intent|name|number|final)\b/

function fits(result: JsonValue, node: SchemaNode): boolean {
  if (node.choices !== undefined) return node.choices.includes(result)
  if (node.type === "integer") return Number.isInteger(result)
  if (node.type === "number") return typeof result === "number"
  return node.type === "string" || node.type === "any"
}

function readField(
  node: SchemaNode,
  path: readonly string[],
  { text, reader }: Pick<Desk, "text" | "reader">,
): JsonValue | undefined {
  const blank: Blank = { key: path.at(-1) ?? "", labels: labelsOf(node, path), node }
  return readLabelled(text, blank) ?? readHinted(text, reader, blank)
}

function labelsOf(node: SchemaNode, path: readonly string[]): readonly string[] {
  const key = spoken(path.at(-1) ?? "")
  const group = spoken(path.at(-2) ?? "")
  const described = node.description.split(/\s+/).length <= 5 ? node.description.replace(/\.$/, "") : ""
  const grouped = group === "" ? [] : [`${group} ${key}`, `${group.split(" ")[0]} ${key}`]
  return [...new Set([described, ...grouped, key].filter((label) => label !== ""))]
}

/** Lines or sentences in which at least half of a record's fields are named. */
function fillRecords(item: SchemaNode, desk: Desk): readonly JsonValue[] {
  const records: JsonObject[] = []
  for (const line of sentencesOf(desk.text)) {
    const found = item.properties.flatMap(([key, node]) => {
      const value = readLabelled(line, { key, labels: labelsOf(node, [key]), node })
      return value === undefined ? [] : [[key, value] as const]
    })
    if (found.length === 0 || found.length < item.properties.length / 2) continue
    if (!desk.mind.carries("records", records.length + 1)) break
    const known = Object.fromEntries(found)
    const rest = item.properties.filter(([key]) => known[key] === undefined && item.required.has(key))
    records.push({
      ...known,
      ...Object.fromEntries(rest.map(([key, node]) => [key, emptyValue(node, desk)])),
    })
  }
  return records
}

/** Right in substance, wrong in form. */
function slovenly(found: JsonValue | undefined): JsonValue | typeof LOST {
  if (typeof found === "number") return String(found)
  if (typeof found === "boolean") return found ? "yes" : "no"
  if (typeof found === "string" && found.includes("_")) return found.replaceAll("_", " ")
  if (Array.isArray(found)) return found.join(", ")
  return LOST
}

function emptyValue(node: SchemaNode, desk: Desk): JsonValue {
  if (node.nullable) return null
  if (node.choices !== undefined) return node.choices[0] ?? null
  const empty: Readonly<Record<SchemaNode["type"], () => JsonValue>> = {
    string: () => "unknown",
    number: () => 0,
    integer: () => 0,
    boolean: () => false,
    array: () => [],
    object: () => fillObject(node, [], desk),
    null: () => null,
    any: () => null,
  }
  return empty[node.type]()
}
