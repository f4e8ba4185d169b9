import type { Mind } from "../mind.ts"
import type { Prompt } from "../prompt.ts"
import type { JsonObject } from "../protocol.ts"
import type { Random } from "../random.ts"
import { type Phrase, phraseOf } from "../reading/phrase.ts"
import {
  ALL_LEVELS,
  draw,
  type Family,
  type Level,
  type RangeByLevel,
  type Reply,
  type TaskDraft,
  userSays,
  voiced,
} from "./family.ts"
import { amongFiller, drawPadding } from "./padding.ts"
import { CITIES, clockTime, GOODS, isoDate, people } from "./vocabulary.ts"

/** All records out of a text, in lines or as JSON. Hard is not the length of the text but how many there are to keep. */
export const extraction: Family = {
  family: "extraction",
  levels: ALL_LEVELS,
  generate,
  attempt,
}

const RECORDS: RangeByLevel = { 1: [1, 2], 2: [3, 5], 3: [6, 10], 4: [16, 22], 5: [30, 42] }

type TextRecord = Readonly<Record<string, string>>

interface Domain {
  readonly plural: string
  readonly fields: readonly string[]
  readonly phrases: readonly Phrase[]
  readonly draw: (random: Random, number: number) => TextRecord
}

const DOMAINS: readonly Domain[] = [
  {
    plural: "orders",
    fields: ["id", "customer", "quantity", "item", "price"],
    phrases: [
      phraseOf(
        "{customer:name} ordered {quantity:int} of the {item:words} at {price:number} EUR each ({id:code})",
      ),
      phraseOf(
        "order {id:code} came from {customer:name}: {quantity:int} of the {item:words}, {price:number} EUR each",
      ),
      phraseOf(
        "{quantity:int} of the {item:words} at {price:number} EUR each went to {customer:name} as {id:code}",
      ),
    ],
    draw: (random, number) => ({
      id: `ORD-${1000 + number}`,
      customer: people(random, 1)[0] ?? "",
      quantity: String(random.int(2, 60)),
      item: random.pick(GOODS),
      price: `${random.int(3, 180)}.${random.int(10, 99)}`,
    }),
  },
  {
    plural: "appointments",
    fields: ["patient", "date", "time", "room"],
    phrases: [
      phraseOf("{patient:name} is expected on {date:date} at {time:time} in room {room:int}"),
      phraseOf("room {room:int} is kept for {patient:name} on {date:date} at {time:time}"),
      phraseOf("on {date:date} at {time:time} {patient:name} comes to room {room:int}"),
    ],
    draw: (random, number) => ({
      patient: people(random, 1)[0] ?? "",
      date: isoDate(random),
      time: clockTime(random),
      room: String(100 + number),
    }),
  },
  {
    plural: "shipments",
    fields: ["id", "origin", "destination", "weight"],
    phrases: [
      phraseOf("{id:code} left {origin:word} for {destination:word} with {weight:int} kilograms"),
      phraseOf("shipment {id:code}, {weight:int} kilograms, goes from {origin:word} to {destination:word}"),
      phraseOf("from {origin:word} to {destination:word} travel {weight:int} kilograms under {id:code}"),
    ],
    draw: (random, number) => {
      const [origin = "", destination = ""] = random.sample(CITIES, 2)
      return { id: `SHP-${200 + number}`, origin, destination, weight: String(random.int(20, 900)) }
    },
  },
]

function generate(random: Random, level: Level): TaskDraft {
  const domain = random.pick(DOMAINS)
  const count = draw(random, RECORDS, level)
  const records = Array.from({ length: count }, (_, index) => domain.draw(random, index))
  // Records in a row are notes, records among filler are a report.
  const padding = level >= 4 ? "none" : drawPadding(random)
  const told = records.map((record) => `${opened(random.pick(domain.phrases).say(record), random)}.`)
  const text = amongFiller(random, told, padding)
  const reference = { kind: "records" as const, records }
  const hidden = { records: count, fields: domain.fields.length }
  if (random.chance(0.5)) {
    const ask = random.pick([
      `Extract all ${domain.plural}.`,
      `Read this and return every one of the ${domain.plural}.`,
    ])
    const schema = schemaOf(domain)
    return {
      messages: userSays(`${ask}\n\n${text}`),
      responseFormat: { type: "json_schema", json_schema: { name: domain.plural, strict: true, schema } },
      reference,
      hidden,
    }
  }
  const columns = domain.fields.join(" | ")
  const ask = random.pick([
    `List all ${domain.plural} in the text, one per line, as: ${columns}`,
    `Make a table of the ${domain.plural}, one line each, without a header: ${columns}`,
  ])
  return { messages: userSays(`${ask}\n\n${text}`), reference, hidden }
}

function opened(sentence: string, random: Random): string {
  const opener = random.pick(["", "", "It is noted that ", "As usual, ", "According to the log, "])
  return opener === "" ? sentence.charAt(0).toUpperCase() + sentence.slice(1) : opener + sentence
}

function schemaOf(domain: Domain): JsonObject {
  const properties = Object.fromEntries(domain.fields.map((field) => [field, { type: "string" }]))
  const items = { type: "object", properties, required: domain.fields, additionalProperties: false }
  return {
    type: "object",
    properties: { [domain.plural]: { type: "array", items } },
    required: [domain.plural],
    additionalProperties: false,
  }
}

function attempt(prompt: Prompt, mind: Mind): Reply | undefined {
  const wantsLines = /\b(?:list|extract|table|return)\b/i.test(prompt.ask)
  const domain = DOMAINS.find(({ plural }) => new RegExp(String.raw`\b${plural}\b`, "i").test(prompt.ask))
  if (!wantsLines || domain === undefined) return undefined
  const found = readRecords(prompt.text, domain)
  if (found.length === 0) return undefined
  const kept = keptRecords(found, domain, mind)
  const place = placeFor(prompt.schema, domain)
  if (prompt.schema !== undefined) {
    if (place === undefined) return undefined
    const value = { [place]: kept }
    return { kind: "text", text: JSON.stringify(value), value }
  }
  const lines = kept.map((record) => domain.fields.map((field) => record[field] ?? "").join(" | "))
  const doubtful = mind.doubts("records", found.length)
  return { kind: "text", text: `${doubtful ? `${voiced("", true, mind).trim()}\n` : ""}${lines.join("\n")}` }
}

function readRecords(text: string, domain: Domain): readonly TextRecord[] {
  return domain.phrases
    .flatMap((phrase) => [...phrase.hear(text), ...phrase.hear(lowered(text))])
    .sort((a, b) => a.at - b.at)
    .filter((heard, index, all) => heard.at !== all[index - 1]?.at)
    .map(({ values }) => values)
}

// A sentence may open with a phrase that is written small elsewhere.
function lowered(text: string): string {
  return text.replace(/(?<=^|[.\n] ?)(?:Order|Room|On|Shipment|From)\b/g, (word) => word.toLowerCase())
}

/** A record beyond what is carried is gone; a field beyond it loses its value to that of the record before. */
function keptRecords(found: readonly TextRecord[], domain: Domain, mind: Mind): readonly TextRecord[] {
  const kept = found.filter((_, index) => mind.carries("records", index + 1))
  return kept.map((record, row) => {
    const before = kept[row - 1] ?? record
    const entries = domain.fields.map((field, column) => {
      const source = mind.carries("fields", column + 1, `row ${row}`) ? record : before
      return [field, source[field] ?? ""] as const
    })
    return Object.fromEntries(entries)
  })
}

/** The key of the list that takes such records, if the schema has one. */
function placeFor(schema: JsonObject | undefined, domain: Domain): string | undefined {
  const properties = schema?.["properties"]
  if (typeof properties !== "object" || properties === null) return undefined
  return Object.entries(properties).find(([, property]) => {
    const keys = JSON.stringify(property)
    return domain.fields.every((field) => keys.includes(`"${field}"`))
  })?.[0]
}
