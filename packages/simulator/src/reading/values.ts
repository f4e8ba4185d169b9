import type { JsonValue } from "../protocol.ts"
import { type SchemaNode, written } from "./schema.ts"
import { keywordsOf } from "./sentences.ts"

/** One place of a form, as a reader looks for it. */
export interface Blank {
  readonly key: string
  /** What it may be called in the text, the most telling first. */
  readonly labels: readonly string[]
  readonly node: SchemaNode
}

/** The value that the text gives under one of the labels ("the due date is …", "due date: …", "… as the due date"). */
export function readLabelled(text: string, { labels, node }: Blank): JsonValue | undefined {
  const value = soundOf(node)
  for (const label of labels) {
    const named = wordsPattern(label)
    const found =
      matched(
        text,
        String.raw`\b${named}\b\s*(?:\b(?:is|are|was|=|equals|should be|must be|set to)\b|[:=])\s*["“]?(${value})`,
      ) ??
      matched(
        text,
        String.raw`\b(?:put down|use|note|enter|take|with)\b ["“]?(${value})["”]? as (?:the|its|their) ${named}\b`,
      ) ??
      (isNumeric(node) ? matched(text, String.raw`\b(${value}) ${named}\b`) : undefined)
    const read = found === undefined ? undefined : valueFrom(found, node)
    if (read !== undefined) return read
  }
  return undefined
}

/** Spends what it finds, so that "from 3 to 5" gives two different numbers to two blanks. */
export interface Reader {
  next(pattern: RegExp): string | undefined
}

export function readerOf(text: string): Reader {
  const spent = new Set<number>()
  return {
    next: (pattern) => {
      for (const match of text.matchAll(pattern)) {
        const found = match[1] ?? match[0]
        const at = match.index + match[0].lastIndexOf(found)
        if (spent.has(at)) continue
        spent.add(at)
        return found
      }
      return undefined
    },
  }
}

/** The value that looks right for a blank of that name, where nothing in the text is labelled with it. */
export function readHinted(text: string, reader: Reader, { key, node }: Blank): JsonValue | undefined {
  const found = candidateFor(text, reader, key, node)
  return found === undefined ? undefined : valueFrom(found, node)
}

function candidateFor(text: string, reader: Reader, key: string, node: SchemaNode): string | undefined {
  if (node.choices !== undefined) return reader.next(new RegExp(String.raw`\b(${soundOf(node)})\b`, "giu"))
  if (node.type === "boolean") {
    const named = keywordsOf(key).some((word) => keywordsOf(text).includes(word))
    return named ? (/\b(?:no|not|without|don't)\b/i.test(text) ? "no" : "yes") : undefined
  }
  if (isNumeric(node)) {
    const unit = wordsPattern(key).replace(/s$/, "")
    return (
      reader.next(new RegExp(String.raw`(?<![\w.:-])(${NUMBER})(?= ?${unit})`, "giu")) ??
      reader.next(new RegExp(String.raw`(?<![\w.:-])(${NUMBER})(?![\w:-]|\.\d)`, "gu"))
    )
  }
  if (node.type !== "string" && node.type !== "any") return undefined
  const hint = hintFor(`${spoken(key)} ${node.format}`.trim()) ?? hintFor(node.description.toLowerCase())
  return hint === undefined ? reader.next(PROPER) : hint.find(text, reader)
}

function hintFor(name: string): (typeof HINTS)[number] | undefined {
  return HINTS.find(({ about }) => about.test(name))
}

const NUMBER = String.raw`-?\d{1,12}(?:,\d{3}){0,4}(?:\.\d{1,8})?`
const EMAIL = String.raw`[\w.+-]{1,40}@[\w-]{1,40}(?:\.[\w-]{2,20}){1,3}`
const DATE = String.raw`\d{4}-\d{2}-\d{2}`
const TIME = String.raw`\d{1,2}:\d{2}`
const QUOTED = /["“]([^"”\n]{1,200})["”]/g
const PLACE = String.raw`(\p{Lu}[\p{L}-]{1,30}(?: \p{Lu}[\p{L}-]{1,30})?)`
const PROPER = new RegExp(String.raw`(?<=[\p{Ll}:,] |^)(?!I\b)${PLACE}`, "gu")
const FULL_NAME = /\b(\p{Lu}\p{Ll}{1,30} \p{Lu}\p{Ll}{1,30})\b/gu
const CODE = /\b([A-Z]{1,4}-?\d{1,8})\b/g
const UPPER = /\b([A-Z]{2,5})\b/g

/** How a value of that name is usually said. The first that fits decides. */
const HINTS: readonly {
  readonly about: RegExp
  readonly find: (text: string, reader: Reader) => string | undefined
}[] = [
  { about: /\bemail\b|\brecipient\b/, find: (_, reader) => reader.next(new RegExp(EMAIL, "gu")) },
  {
    about: /\bdate\b|\bday\b/,
    find: (_, reader) => reader.next(new RegExp(String.raw`\b(?:${DATE}|today|tomorrow)\b`, "gi")),
  },
  { about: /\btime\b/, find: (_, reader) => reader.next(new RegExp(TIME, "g")) },
  { about: /\bur[il]\b|\blink\b/, find: (_, reader) => reader.next(/https?:\/\/\S{1,300}/g) },
  {
    about: /\b(?:expression|formula)\b/,
    find: (_, reader) => reader.next(/[\d(][\d\s.+\-*/()]{1,120}[\d)]/g),
  },
  { about: /\b(?:id|number|code|reference)\b/, find: (_, reader) => reader.next(CODE) },
  {
    about: /\b(?:from|base|source) ?(?:currency)?$/,
    find: (_, reader) => reader.next(/\bfrom ([A-Z]{3})\b/g) ?? reader.next(UPPER) ?? reader.next(fromPlace),
  },
  {
    about: /\b(?:to|target|quote) ?(?:currency)?$/,
    find: (_, reader) =>
      reader.next(/\b(?:to|in|into) ([A-Z]{3})\b/g) ?? reader.next(UPPER) ?? reader.next(toPlace),
  },
  { about: /\blanguage\b/, find: (_, reader) => reader.next(/\b(?:into|to|in) (\p{Lu}\p{L}{2,20})/gu) },
  { about: /\b(?:currency|symbol|ticker)\b/, find: (_, reader) => reader.next(UPPER) },
  { about: /\b(?:origin|departure)\b/, find: (_, reader) => reader.next(fromPlace) },
  { about: /\b(?:destination|arrival)\b/, find: (_, reader) => reader.next(toPlace) },
  {
    about: /\b(?:city|location|place|country|town|area)\b/,
    find: (_, reader) => reader.next(inPlace) ?? reader.next(PROPER),
  },
  {
    about: /\b(?:name|person|author|customer|owner)\b/,
    find: (_, reader) => reader.next(FULL_NAME) ?? reader.next(QUOTED) ?? reader.next(PROPER),
  },
  {
    about: /\b(?:title|subject|label|topic)\b/,
    find: (_, reader) => reader.next(QUOTED) ?? reader.next(PROPER),
  },
  {
    about: /\b(?:query|question|text|input|message|prompt|content|body|term|search)\b/,
    find: (text, reader) => reader.next(QUOTED) ?? text.replace(/[?.!\s]+$/, "").trim(),
  },
]
const fromPlace = new RegExp(String.raw`\bfrom ${PLACE}`, "gu")
const toPlace = new RegExp(String.raw`\bto ${PLACE}`, "gu")
const inPlace = new RegExp(String.raw`\b(?:in|at|for|near|of|to|from) ${PLACE}`, "gu")

/** Key or label as spoken words: `dueDate`, `due_date` → `due date`. */
export function spoken(key: string): string {
  return key
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .replace(/[_\-.]+/g, " ")
    .toLowerCase()
    .trim()
}

/** What values of a schema node look like in a text. */
function soundOf(node: SchemaNode): string {
  if (node.choices !== undefined) return node.choices.map((choice) => wordsPattern(written(choice))).join("|")
  if (isNumeric(node)) return NUMBER
  if (node.type === "boolean") return "yes|no|true|false|on|off"
  if (node.type === "array") return String.raw`[^.;:\n]{1,300}`
  return (
    FORMATS[node.format] ??
    String.raw`(?:[^\n;,."”]|\.(?=\S)){1,120}?(?=["”]|\s*(?:[;,\n]|\.(?:\s|$)|$)| as (?:the|its|their) )`
  )
}

const FORMATS: Readonly<Record<string, string>> = { email: EMAIL, date: DATE, time: TIME }

function valueFrom(found: string, node: SchemaNode): JsonValue | undefined {
  if (node.choices !== undefined)
    return node.choices.find((choice) => new RegExp(`^${wordsPattern(written(choice))}$`, "iu").test(found))
  if (isNumeric(node)) {
    const number = Number(found.replaceAll(",", ""))
    return node.type === "integer" && !Number.isInteger(number) ? undefined : number
  }
  if (node.type === "boolean") return /^(?:yes|true|on)$/i.test(found)
  if (node.type === "array") return node.items?.type === "object" ? undefined : listOf(found, node)
  return found.trim()
}

function listOf(found: string, node: SchemaNode): readonly JsonValue[] {
  const items = found.split(/\s*,\s*|\s+and\s+/).filter((item) => item !== "")
  return items.flatMap((item) => (node.items === undefined ? item : (valueFrom(item, node.items) ?? [])))
}

function isNumeric(node: SchemaNode): boolean {
  return node.type === "number" || node.type === "integer"
}

function wordsPattern(label: string): string {
  return label
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .split(/[\s_-]+/)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
    .join(String.raw`[\s_-]`)
}

function matched(text: string, pattern: string): string | undefined {
  return new RegExp(pattern, "iu").exec(text)?.[1]
}
