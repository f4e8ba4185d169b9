import { ConfigError } from "../spec/errors.ts"
import { splitWords, type Words, wordEnd } from "../tokens/split-words.ts"

/**
 * A phrase as the words it is made of. It matches whole words in any case and with any spacing or hyphens between:
 * `zero-trust` is found in "Zero Trust" and not in "subzero trusts". Other punctuation in a phrase is ignored.
 */
export interface Phrase {
  /** The words with single spaces: the same for all spellings that match each other. */
  readonly text: string
  readonly words: readonly string[]
  readonly hashes: readonly number[]
}

/** @throws ConfigError naming `path` for a phrase without a letter, a digit or an ideograph. */
export function phrase(text: string, path: string): Phrase {
  if (typeof text !== "string")
    throw new ConfigError(path, `${String(text)} is not a phrase`, "give a string")
  const split = splitWords(text)
  if (split.hashes.length === 0) {
    throw new ConfigError(
      path,
      `"${text}" holds no word to look for`,
      "give a phrase with a letter or a digit",
    )
  }
  const words = split.starts.map((start, index) => split.text.slice(start, wordEnd(split, index)))
  return { text: words.join(" "), words, hashes: split.hashes }
}

/** @throws ConfigError naming `path` and the position of a phrase without a word. */
export function phrases(texts: readonly string[], path: string): readonly Phrase[] {
  if (!Array.isArray(texts)) throw new ConfigError(path, "it is not a list", "give a list of phrases")
  return texts.map((text, index) => phrase(text, `${path}[${index}]`))
}

/** Phrases written one after the other, with commas between. */
export function list(texts: string): readonly string[] {
  return texts.split(",").map((text) => text.trim())
}

/** Many phrases that are looked for together, at one look-up per word, whatever their number. */
export interface PhraseIndex {
  readonly byFirstWord: ReadonlyMap<number, readonly Phrase[]>
  /** 1 where the first word of a phrase may be, by its hash's last bits: spares nearly all look-ups in the map. */
  readonly hints: Readonly<Uint8Array>
}

/** A power of two. */
const HINTS = 4_096

export function phraseIndex(wanted: readonly Phrase[]): PhraseIndex {
  const byFirstWord = new Map<number, readonly Phrase[]>()
  const hints = new Uint8Array(HINTS)
  for (const one of new Map(wanted.map((each) => [each.text, each])).values()) {
    const [first = 0] = one.hashes
    byFirstWord.set(first, [...(byFirstWord.get(first) ?? []), one])
    hints[first & (HINTS - 1)] = 1
  }
  return { byFirstWord, hints }
}

/** The different phrases a text holds, by their `text`. */
export function findPhrases({ byFirstWord, hints }: PhraseIndex, words: Words): ReadonlySet<string> {
  const found = new Set<string>()
  for (let at = 0; at < words.hashes.length; at++) {
    const hash = words.hashes[at] ?? 0
    if (hints[hash & (HINTS - 1)] === 0) continue
    for (const candidate of byFirstWord.get(hash) ?? []) {
      if (phraseStartsAt(words, at, candidate)) found.add(candidate.text)
    }
  }
  return found
}

/** Whether a phrase begins at the given word. */
export function phraseStartsAt(words: Words, at: number, { words: wanted, hashes }: Phrase): boolean {
  let previousEnd = -1
  for (const [index, word] of wanted.entries()) {
    if (words.hashes[at + index] !== hashes[index]) return false
    const start = words.starts[at + index] ?? 0
    const end = wordEnd(words, at + index)
    if (words.text.slice(start, end) !== word) return false
    if (previousEnd !== -1 && isBroken(words.text, previousEnd, start)) return false
    previousEnd = end
  }
  return true
}

/** "difference. Between" is not "difference between". */
function isBroken(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (SENTENCE_BREAKS.has(text.charCodeAt(i))) return true
  return false
}

const SENTENCE_BREAKS: ReadonlySet<number> = new Set(
  Array.from(".,;:!?。，、；：！？", (mark) => mark.charCodeAt(0)),
)
