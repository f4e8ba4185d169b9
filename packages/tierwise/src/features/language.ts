import { splitWords, wordHash } from "../tokens/split-words.ts"
import { FUNCTION_WORDS } from "./function-words.ts"

/** The language is told by so many characters at the start. */
const SAMPLE_CHARS = 240

const LATIN = "und-Latn"
const HAN = "zh"
const KANA = "ja"

/** What a script says about the language: first and last UTF-16 unit, and a BCP 47 tag. In order. */
const SCRIPTS: readonly (readonly [number, number, string])[] = [
  [0x0041, 0x005a, LATIN],
  [0x0061, 0x007a, LATIN],
  [0x00aa, 0x02af, LATIN],
  [0x0370, 0x03ff, "el"],
  [0x0400, 0x052f, "und-Cyrl"],
  [0x0531, 0x058f, "hy"],
  [0x0591, 0x05ff, "he"],
  [0x0600, 0x06ff, "und-Arab"],
  [0x0750, 0x077f, "und-Arab"],
  [0x0900, 0x097f, "und-Deva"],
  [0x0980, 0x09ff, "und-Beng"],
  [0x0a00, 0x0a7f, "pa"],
  [0x0a80, 0x0aff, "gu"],
  [0x0b00, 0x0b7f, "or"],
  [0x0b80, 0x0bff, "ta"],
  [0x0c00, 0x0c7f, "te"],
  [0x0c80, 0x0cff, "kn"],
  [0x0d00, 0x0d7f, "ml"],
  [0x0d80, 0x0dff, "si"],
  [0x0e00, 0x0e7f, "th"],
  [0x0e80, 0x0eff, "lo"],
  [0x0f00, 0x0fff, "bo"],
  [0x1000, 0x109f, "my"],
  [0x10a0, 0x10ff, "ka"],
  [0x1100, 0x11ff, "ko"],
  [0x1200, 0x139f, "und-Ethi"],
  [0x1780, 0x17ff, "km"],
  [0x1e00, 0x1eff, LATIN],
  [0x1f00, 0x1fff, "el"],
  [0x3040, 0x30ff, KANA],
  [0x3130, 0x318f, "ko"],
  [0x3400, 0x4dbf, HAN],
  [0x4e00, 0x9fff, HAN],
  [0xac00, 0xd7af, "ko"],
  [0xf900, 0xfaff, HAN],
]

/**
 * The language of a text as BCP 47: by its script where that decides, by small words and letters among seven
 * languages in Latin script, `und-Cyrl`, `und-Latn` and the like where only the script is sure, `und` without letters.
 */
export function languageOf(text: string): string {
  const sample = text.length > SAMPLE_CHARS ? text.slice(0, SAMPLE_CHARS) : text
  const script = dominantScript(sample)
  return script === LATIN ? latinLanguage(sample) : script
}

function dominantScript(sample: string): string {
  const lettersByTag = new Map<string, number>()
  let latin = 0
  let tag: string | undefined
  let run = 0
  const endRun = (): void => {
    if (tag !== undefined) lettersByTag.set(tag, (lettersByTag.get(tag) ?? 0) + run)
    run = 0
  }
  for (let i = 0; i < sample.length; i++) {
    const code = sample.charCodeAt(i)
    if (code < 0x80) {
      if (isAsciiLetter(code)) latin++
      continue
    }
    const next = scriptOf(code)
    if (next === undefined) continue
    if (next !== tag) endRun()
    tag = next
    run++
  }
  endRun()

  latin += lettersByTag.get(LATIN) ?? 0
  const kana = lettersByTag.get(KANA) ?? 0
  const han = lettersByTag.get(HAN) ?? 0
  lettersByTag.delete(LATIN)
  // Japanese always mixes kana into its ideographs; Chinese does not.
  if (kana > 0 && kana * 10 >= han) {
    lettersByTag.set(KANA, kana + han)
    lettersByTag.delete(HAN)
  }
  const [script, letters] = [...lettersByTag].reduce(
    (most, next) => (next[1] > most[1] ? next : most),
    ["und", 0],
  )
  // A foreign name or a piece of code in Latin letters takes more of them than the words around it do.
  return latin > letters * (DENSE.has(script) ? 3 : 1.5) ? LATIN : script
}

function isAsciiLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90)
}

/** Scripts of which one character is a syllable or a word. */
const DENSE: ReadonlySet<string> = new Set([HAN, KANA, "ko"])

function scriptOf(code: number): string | undefined {
  let low = 0
  let high = SCRIPTS.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const [first, last, tag] = SCRIPTS[middle] as (typeof SCRIPTS)[number]
    if (code < first) high = middle - 1
    else if (code > last) low = middle + 1
    else return tag
  }
  return undefined
}

/**
 * Small words decide, letters help: a sign that n languages share counts 1/n for each, a letter half as much as a word
 * and once. Letters that none of the languages writes speak against all of them.
 */
function latinLanguage(sample: string): string {
  const words = splitWords(sample)
  const votes: number[] = LANGUAGES.map(() => 0)
  for (const hash of words.hashes) vote(votes, LANGUAGES_BY_WORD.get(hash), 1)
  const spoken = votes.map((count) => count > 0)
  let foreign = 0
  for (const letter of lettersBeyondAscii(words.text)) {
    const languages = LANGUAGES_BY_LETTER.get(letter)
    vote(votes, languages, LETTER_VOTE)
    if (languages === undefined && scriptOf(letter) === LATIN) foreign++
  }

  const most = Math.max(...votes)
  const winner = votes.indexOf(most)
  const runnerUp = Math.max(...votes.filter((_, language) => language !== winner))
  const enough = Math.max(MIN_VOTES, words.hashes.length * VOTES_PER_WORD)
  const clear = spoken[winner] && most >= enough && most >= runnerUp * LEAD && foreign < most
  return clear ? (LANGUAGES[winner] as string) : LATIN
}

const LETTER_VOTE = 0.5
/** A word that three languages share is not enough, and in a long text a single word is not either. */
const MIN_VOTES = 0.5
const VOTES_PER_WORD = 0.1
const LEAD = 1.3

function vote(votes: number[], languages: readonly number[] | undefined, weight: number): void {
  if (languages === undefined) return
  for (const language of languages) votes[language] = (votes[language] as number) + weight / languages.length
}

function lettersBeyondAscii(text: string): ReadonlySet<number> {
  const letters = new Set<number>()
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) letters.add(code)
  }
  return letters
}

const LANGUAGES: readonly string[] = Object.keys(FUNCTION_WORDS)

const LANGUAGES_BY_WORD: ReadonlyMap<number, readonly number[]> = indexBy(({ words }) =>
  words.split(" ").map((word) => wordHash(word)),
)

const LANGUAGES_BY_LETTER: ReadonlyMap<number, readonly number[]> = indexBy(({ letters }) =>
  Array.from(letters, (letter) => letter.charCodeAt(0)),
)

function indexBy(
  keysOf: (table: (typeof FUNCTION_WORDS)[string]) => readonly number[],
): Map<number, readonly number[]> {
  const languagesByKey = new Map<number, number[]>()
  Object.values(FUNCTION_WORDS).forEach((table, language) => {
    for (const key of new Set(keysOf(table))) {
      const languages = languagesByKey.get(key)
      if (languages === undefined) languagesByKey.set(key, [language])
      else languages.push(language)
    }
  })
  return languagesByKey
}
