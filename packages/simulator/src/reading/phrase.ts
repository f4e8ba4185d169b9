/** A way to say something, and to hear it: `"{who:name} ordered {quantity:int} {item:words}"`. */
export interface Phrase {
  say(values: Readonly<Record<string, string | number>>): string
  /** Every place in a text where it is said, in order. */
  hear(text: string): readonly Heard[]
}

export interface Heard {
  /** Where in the text. */
  readonly at: number
  readonly values: Readonly<Record<string, string>>
}

type SlotKind = "name" | "int" | "number" | "code" | "date" | "time" | "word" | "words"

/** What a slot of each kind sounds like. All are bounded, so that hearing stays linear in the text. */
export const SLOT_PATTERNS: Readonly<Record<SlotKind, string>> = {
  name: String.raw`\p{Lu}[\p{L}’-]{1,30}(?: \p{Lu}[\p{L}’-]{1,30}){0,2}`,
  int: String.raw`\d{1,9}`,
  number: String.raw`\d{1,9}(?:\.\d{1,6})?`,
  code: String.raw`[A-Z]{1,4}-\d{1,8}`,
  date: String.raw`\d{4}-\d{2}-\d{2}`,
  time: String.raw`\d{1,2}:\d{2}`,
  word: String.raw`[\p{L}-]{1,30}`,
  words: String.raw`[\p{L}-]{1,30}(?: [\p{L}-]{1,30}){0,3}?`,
}

const SLOT = /\{(\w+):(\w+)\}/g

export function phraseOf(template: string): Phrase {
  const pattern = new RegExp(hearingOf(template), "gu")
  return {
    say: (values) => template.replace(SLOT, (_, slot: string) => String(values[slot] ?? "")),
    hear: (text) =>
      [...text.matchAll(pattern)].map((match) => ({ at: match.index, values: { ...match.groups } })),
  }
}

function hearingOf(template: string): string {
  const parts = template.split(SLOT)
  let pattern = ""
  for (let at = 0; at < parts.length; at += 3) {
    pattern += (parts[at] ?? "").replace(/[.*+?^$()|[\]\\]/g, String.raw`\$&`)
    const [slot, kind] = [parts[at + 1], parts[at + 2]]
    if (slot === undefined) continue
    if (kind === undefined || !(kind in SLOT_PATTERNS))
      throw new RangeError(`${template}: no such kind: ${kind}`)
    pattern += `(?<${slot}>${SLOT_PATTERNS[kind as SlotKind]})`
  }
  const opens = template.startsWith("{") ? String.raw`(?<![\p{L}\d-])` : ""
  const closes = template.endsWith("}") ? String.raw`(?![\p{L}\d])` : ""
  return opens + pattern + closes
}
