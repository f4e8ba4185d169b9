import type { Mind } from "../mind.ts"
import type { Prompt } from "../prompt.ts"
import type { JsonObject, JsonValue } from "../protocol.ts"
import type { Random } from "../random.ts"
import { fillForm } from "../reading/form.ts"
import { written } from "../reading/schema.ts"
import {
  ALL_LEVELS,
  draw,
  type Family,
  type Level,
  type RangeByLevel,
  type Reply,
  type TaskDraft,
  userSays,
} from "./family.ts"
import { amongFiller, drawPadding } from "./padding.ts"
import { CITIES, capitalised, clockTime, GOODS, isoDate, listed, people } from "./vocabulary.ts"

/** Forms with nested objects, enums and lists that must be filled in strictly. */
export const schema: Family = {
  family: "schema",
  levels: ALL_LEVELS,
  generate,
  attempt: (prompt, mind) => (prompt.schema === undefined ? undefined : filled(prompt, mind)),
}

const FIELDS: RangeByLevel = { 1: [2, 3], 2: [4, 5], 3: [7, 10], 4: [14, 17], 5: [21, 24] }

interface Field {
  readonly group?: string
  readonly key: string
  readonly label: string
  readonly schema: JsonObject
  readonly value: (random: Random) => JsonValue
}

const STRING: JsonObject = { type: "string" }

function choice(...values: string[]): Pick<Field, "schema" | "value"> {
  return { schema: { type: "string", enum: values }, value: (random) => random.pick(values) }
}

const FIELDS_KNOWN: readonly Field[] = [
  {
    key: "invoice_number",
    label: "invoice number",
    schema: STRING,
    value: (r) => `INV-${r.int(1000, 9999)}`,
  },
  { key: "due_date", label: "due date", schema: { type: "string", format: "date" }, value: isoDate },
  { key: "priority", label: "priority", ...choice("low", "normal", "very_high") },
  {
    key: "tags",
    label: "tags",
    schema: { type: "array", items: STRING },
    value: (r) => r.sample(TAGS, r.int(2, 3)),
  },
  { key: "approved", label: "approval", schema: { type: "boolean" }, value: (r) => r.chance(0.5) },
  {
    key: "discount_percent",
    label: "discount percentage",
    schema: { type: "number" },
    value: (r) => r.int(1, 30),
  },
  {
    group: "customer",
    key: "name",
    label: "customer name",
    schema: STRING,
    value: (r) => people(r, 1)[0] ?? "",
  },
  {
    group: "customer",
    key: "email",
    label: "customer email",
    schema: { type: "string", format: "email" },
    value: anEmail,
  },
  { group: "customer", key: "tier", label: "customer tier", ...choice("basic", "silver_plus", "gold") },
  {
    group: "customer",
    key: "since",
    label: "customer start date",
    schema: { type: "string", format: "date" },
    value: isoDate,
  },
  {
    group: "billing_address",
    key: "city",
    label: "billing city",
    schema: STRING,
    value: (r) => r.pick(CITIES),
  },
  { group: "billing_address", key: "street", label: "billing street", schema: STRING, value: aStreet },
  {
    group: "billing_address",
    key: "postal_code",
    label: "billing postal code",
    schema: STRING,
    value: aPostalCode,
  },
  {
    group: "delivery_address",
    key: "city",
    label: "delivery city",
    schema: STRING,
    value: (r) => r.pick(CITIES),
  },
  { group: "delivery_address", key: "street", label: "delivery street", schema: STRING, value: aStreet },
  {
    group: "delivery_address",
    key: "postal_code",
    label: "delivery postal code",
    schema: STRING,
    value: aPostalCode,
  },
  {
    group: "payment",
    key: "method",
    label: "payment method",
    ...choice("credit_card", "bank_transfer", "cash"),
  },
  { group: "payment", key: "currency", label: "payment currency", ...choice("EUR", "USD", "SEK") },
  {
    group: "payment",
    key: "amount",
    label: "payment amount",
    schema: { type: "number" },
    value: (r) => r.int(1000, 99999) / 100,
  },
  {
    group: "payment",
    key: "settled",
    label: "payment confirmation",
    schema: { type: "boolean" },
    value: (r) => r.chance(0.5),
  },
  {
    group: "shipping",
    key: "carrier",
    label: "shipping carrier",
    ...choice("north_post", "parcel_line", "pickup"),
  },
  {
    group: "shipping",
    key: "parcels",
    label: "parcel count",
    schema: { type: "integer" },
    value: (r) => r.int(1, 9),
  },
  {
    group: "shipping",
    key: "weight_kg",
    label: "shipping weight",
    schema: { type: "number" },
    value: (r) => r.int(2, 400) / 10,
  },
  {
    group: "shipping",
    key: "ready_at",
    label: "pickup time",
    schema: { type: "string", pattern: "^\\d{1,2}:\\d\\d$" },
    value: clockTime,
  },
  {
    group: "shipping",
    key: "contents",
    label: "parcel contents",
    schema: { type: "array", items: STRING },
    value: (r) => r.sample(GOODS, 2),
  },
]
const TAGS = ["fragile", "urgent", "gift", "heavy", "export"]

function anEmail(random: Random): string {
  return `${(people(random, 1)[0] ?? "").toLowerCase().replace(" ", ".")}@example.com`
}

function aStreet(random: Random): string {
  return `${random.pick(["Mill", "Harbour", "Station", "Garden"])} Street ${random.int(1, 99)}`
}

function aPostalCode(random: Random): string {
  return String(random.int(10000, 99999))
}

function generate(random: Random, level: Level): TaskDraft {
  const chosen = new Set(random.sample(FIELDS_KNOWN, draw(random, FIELDS, level)))
  const fields = FIELDS_KNOWN.filter((field) => chosen.has(field)).map((field) => ({
    field,
    value: field.value(random),
  }))
  const told = fields.map(({ field, value }) => tell(field.label, said(value), random))
  const text = amongFiller(random, random.sample(told, told.length), drawPadding(random))
  const formSchema = nestedSchema(fields.map(({ field }) => field))
  const instruction = random.pick([
    "Fill in the form from the note below.",
    "Turn this note into a record.",
    "Read the note and return its data.",
  ])
  return {
    messages: userSays(`${instruction}\n\n${text}`),
    responseFormat: {
      type: "json_schema",
      json_schema: { name: "record", strict: true, schema: formSchema },
    },
    reference: { kind: "object", schema: formSchema, value: nestedValue(fields) },
    hidden: { fields: fields.length },
  }
}

function tell(label: string, value: string, random: Random): string {
  return random.pick([
    `The ${label} is ${value}.`,
    `Put down ${value} as the ${label}.`,
    `${capitalised(label)}: ${value}.`,
    `As agreed, the ${label} should be ${value}.`,
  ])
}

function said(value: JsonValue): string {
  if (typeof value === "boolean") return value ? "yes" : "no"
  if (Array.isArray(value)) return listed(value.map(written))
  return written(value).replaceAll("_", " ")
}

function nestedSchema(fields: readonly Field[]): JsonObject {
  const properties: Record<string, JsonValue> = {}
  for (const group of new Set(fields.map((field) => field.group))) {
    const own = fields.filter((field) => field.group === group)
    const leaves = Object.fromEntries(
      own.map(({ key, label, schema: leaf }) => [key, { ...leaf, description: label }]),
    )
    if (group === undefined) Object.assign(properties, leaves)
    else properties[group] = strictObject(leaves)
  }
  return strictObject(properties)
}

function strictObject(properties: JsonObject): JsonObject {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false }
}

function nestedValue(fields: readonly { readonly field: Field; readonly value: JsonValue }[]): JsonObject {
  const root: Record<string, JsonValue> = {}
  for (const { field, value } of fields) {
    if (field.group === undefined) root[field.key] = value
    else root[field.group] = { ...(root[field.group] as JsonObject | undefined), [field.key]: value }
  }
  return root
}

/** The answer in the form that was asked for, with a result that another skill has worked out, if there is one. */
export function filled(prompt: Prompt, mind: Mind, result?: Reply): Reply {
  const worked = result?.kind === "text" ? (result.value ?? result.text) : undefined
  const asked = prompt.schema ?? {}
  if (Object.keys(asked).length === 0) return { kind: "text", text: freeJson(prompt, mind, worked) }
  const { value } = fillForm(asked, { text: prompt.text, mind, result: worked })
  return { kind: "text", text: JSON.stringify(value), value }
}

const NUMERIC_KEY = /^(?:age|amount|count|number|price|quantity|score|total|year)$|_(?:count|total|percent)$/i

/** JSON mode without a schema: the keys are the ones the prompt names in quotes. */
function freeJson(prompt: Prompt, mind: Mind, result: JsonValue | undefined): string {
  const keys = [
    ...new Set([...prompt.text.matchAll(/["'`](\w{2,30})["'`]/g)].flatMap((match) => match[1] ?? [])),
  ]
  if (keys.length === 0) return JSON.stringify({ answer: result ?? "unknown" })
  const properties = Object.fromEntries(
    keys.map((key) => [key, { type: NUMERIC_KEY.test(key) ? "number" : "string" }]),
  )
  return JSON.stringify(fillForm(strictObject(properties), { text: prompt.text, mind, result }).value)
}
