import type { JsonObject, JsonValue } from "../protocol.ts"

/** A JSON Schema node, resolved far enough to be filled in. */
export interface SchemaNode {
  readonly type: "object" | "array" | "string" | "number" | "integer" | "boolean" | "null" | "any"
  readonly nullable: boolean
  readonly choices: readonly JsonValue[] | undefined
  readonly format: string
  /** What the author calls it, besides its key. */
  readonly description: string
  readonly properties: readonly (readonly [string, SchemaNode])[]
  readonly required: ReadonlySet<string>
  readonly items: SchemaNode | undefined
}

const TYPES = new Set(["object", "array", "string", "number", "integer", "boolean", "null"])
// A schema may refer to itself; a form that deep is cut off.
const DEEPEST = 12

/** Reads the part of JSON Schema that OpenAI's structured outputs allow; what is not understood becomes `any`. */
export function readSchema(schema: JsonObject, root: JsonObject = schema, depth = 0): SchemaNode {
  const node = followed(schema, root)
  const alternatives = [...listAt(node, "anyOf"), ...listAt(node, "oneOf")]
  const real = alternatives.filter((option) => option["type"] !== "null")
  const [first] = real.length > 0 ? real : listAt(node, "allOf")
  if (first !== undefined) {
    const inner = readSchema(first, root, depth + 1)
    const description = textAt(node, "description") || inner.description
    return { ...inner, description, nullable: inner.nullable || real.length < alternatives.length }
  }
  const types = [node["type"]].flat().filter((type) => typeof type === "string")
  const properties = objectAt(node, "properties")
  const items = objectAt(node, "items")
  const shallow = depth < DEEPEST
  return {
    type: typeOf(types, node),
    nullable: types.includes("null"),
    choices: node["const"] !== undefined ? [node["const"]] : choicesAt(node),
    format: textAt(node, "format"),
    description: textAt(node, "description") || textAt(node, "title"),
    properties: shallow
      ? Object.entries(properties ?? {}).map(
          ([key, property]) =>
            [key, readSchema(isObject(property) ? property : {}, root, depth + 1)] as const,
        )
      : [],
    required: new Set(arrayAt(node, "required").filter((key) => typeof key === "string")),
    items: shallow && items !== undefined ? readSchema(items, root, depth + 1) : undefined,
  }
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** A value as it is written in a sentence. */
export function written(value: JsonValue): string {
  return typeof value === "string" ? value : JSON.stringify(value)
}

function typeOf(types: readonly string[], node: JsonObject): SchemaNode["type"] {
  const named =
    types.find((type) => type !== "null" && TYPES.has(type)) ?? types.find((type) => type === "null")
  if (named !== undefined) return named as SchemaNode["type"]
  return node["properties"] === undefined ? "any" : "object"
}

function followed(schema: JsonObject, root: JsonObject): JsonObject {
  const reference = textAt(schema, "$ref")
  if (!reference.startsWith("#/")) return schema
  const target = reference
    .slice(2)
    .split("/")
    .reduce<JsonValue | undefined>((at, key) => (isObject(at) ? at[key] : undefined), root)
  return isObject(target) && target["$ref"] === undefined ? target : {}
}

function choicesAt(node: JsonObject): readonly JsonValue[] | undefined {
  const choices = arrayAt(node, "enum").filter((choice) => choice !== null)
  return choices.length > 0 ? choices : undefined
}

function arrayAt(node: JsonObject, key: string): readonly JsonValue[] {
  const value = node[key]
  return Array.isArray(value) ? value : []
}

function listAt(node: JsonObject, key: string): readonly JsonObject[] {
  return arrayAt(node, key).filter(isObject)
}

function objectAt(node: JsonObject, key: string): JsonObject | undefined {
  const value = node[key]
  return isObject(value) ? value : undefined
}

function textAt(node: JsonObject, key: string): string {
  const value = node[key]
  return typeof value === "string" ? value : ""
}
