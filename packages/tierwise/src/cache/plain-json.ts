import { toJsonSchema } from "@langchain/core/utils/json_schema"
import { isSerializableSchema } from "@langchain/core/utils/standard_schema"
import { isInteropZodSchema } from "@langchain/core/utils/types"

type Table = Readonly<Record<string, unknown>>

/** JSON that reads back as what was written, or undefined where JSON would change it: bytes, dates, functions, cycles. */
export function plainJson(value: unknown): string | undefined {
  return written(value, function (this: Table, name) {
    return asPlain(this[name])
  })
}

/**
 * One text for every way to write the same data, whatever the order of its keys: what a key is made of. Schema objects
 * are written as their JSON Schema and bytes as bytes. Undefined for what has no such text: functions, class
 * instances, cycles. Lone surrogates come out escaped, so that any hash of it sees them apart.
 */
export function canonicalJson(value: unknown): string | undefined {
  return written(value, function (this: Table, name) {
    return sorted(describable(this[name]))
  })
}

/** `replace` reads the original from `this`: by then JSON has let the value rewrite itself. */
function written(value: unknown, replace: (this: Table, name: string) => unknown): string | undefined {
  try {
    return JSON.stringify(value, replace)
  } catch {
    return undefined
  }
}

function asPlain(value: unknown): unknown {
  if (isPlain(value)) return value
  throw new TypeError("it is no plain data")
}

function isPlain(value: unknown): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "undefined":
      return true
    case "number":
      return Number.isFinite(value)
    case "object":
      return value === null || Array.isArray(value) || isTable(value)
    default:
      return false
  }
}

/** An object that is nothing but its keys, of any realm. */
function isTable(value: object): value is Table {
  const above: unknown = Object.getPrototypeOf(value)
  return above === null || Object.getPrototypeOf(above) === null
}

function describable(value: unknown): unknown {
  if (value instanceof Uint8Array) return { [BYTES]: latin1.decode(value) }
  const isSchema = isInteropZodSchema(value) || isSerializableSchema(value)
  return asPlain(isSchema ? toJsonSchema(value) : value)
}

/** No key that anybody would choose. */
const BYTES = "\u0000bytes"

/** One character for each byte, and another for each other byte. */
const latin1 = new TextDecoder("latin1")

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
