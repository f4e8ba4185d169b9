import { utf8Bytes } from "./utf8-bytes.ts"

/**
 * About how many tokens `o200k_base` makes of a text. It is cut into pieces as that tokenizer cuts it (a word with the
 * one mark before it, three digits, a run of marks, a run of space), and every piece counts as many tokens as its kind
 * has on average. Within 5 % on prose, code, JSON and chat in English (one word may be a token off), mostly within a tenth
 * in other scripts, within a fifth in other tongues of Latin letters and on base64; money is bounded by `utf8Bytes` instead.
 * The averages were taken over 4 MB of READMEs and type declarations, and those of other tongues over translated programs.
 * Linear in the length; any string will do, lone surrogates too.
 */
export function estimateTokens(text: string): number {
  let tokens = 0
  const words = noWords()
  let at = 0
  while (at < text.length) {
    const kind = kindAt(text, at)
    if (isLetter(kind)) {
      const end = wordEnd(text, at)
      tokens += wordTokens(text, at, end, "bare")
      at = end
    } else if (kind === DIGIT) {
      const end = runEnd(text, at, DIGIT)
      tokens += Math.ceil((end - at) / 3)
      at = end
    } else if (kind === IDEOGRAPH) {
      const end = runEnd(text, at, IDEOGRAPH)
      tokens += (end - at) * TOKENS_PER_IDEOGRAPH
      at = end
    } else if (kind === SPACE) {
      const end = spaceEnd(text, at)
      const next = kindAt(text, end)
      // The last blank of a run goes with the word or the marks behind it.
      const joins = text.charCodeAt(end - 1) === BLANK && (isLetter(next) || next === MARK)
      if (end - at > (joins ? 1 : 0)) tokens += spaceTokens(text, at, end)
      at = end
      if (joins && isLetter(next)) {
        at = wordEnd(text, end)
        tokens += blankWordTokens(words, text, end, at)
      }
    } else {
      const end = runEnd(text, at, MARK)
      words.marks++
      if (end - at === 1 && isLetter(kindAt(text, end)) && text.charCodeAt(at - 1) !== BLANK) {
        at = wordEnd(text, end)
        tokens += wordTokens(text, end, at, "mark")
      } else {
        tokens += markTokens(text, at, end)
        at = breaksEnd(text, end)
      }
    }
  }
  return Math.round(tokens + moreIfForeign(words))
}

const LOWER = 0
const UPPER = 1
const OTHER_LETTER = 2
const IDEOGRAPH = 3
const DIGIT = 4
const SPACE = 5
const MARK = 6
const END = 7

const BLANK = 0x20
const APOSTROPHE = 0x27

/** The tokenizer knows runs of like blanks up to about this length, and shorter ones of blanks beyond ASCII. */
const LONGEST_SPACE = 80
const LONGEST_OTHER_SPACE = 8

/** Where one kind of blank follows another, in a run too mixed to be known as a whole; beyond ASCII more. */
const TOKENS_PER_CHANGE = 0.5
const TOKENS_PER_OTHER_CHANGE = 0.9

/** Of Chinese and Japanese, whose common pairs are one token. */
const TOKENS_PER_IDEOGRAPH = 0.74

/** A run of marks of this many characters, and beyond it a third of a token each. */
const MARK_TOKENS = [0, 1, 1, 1.02, 1.15, 1.4, 1.95] as const

/** What tells a text in another Latin tongue from English, and from code. */
interface Words {
  /** After a blank, in Latin letters. */
  latin: number
  /** Of those, with letters that English has not. */
  accented: number
  /** Of those, the small words of English. */
  english: number
  /** Marks over and under letters, and letters of phonetics. */
  marked: number
  /** Runs of marks: code has one for every word or two. */
  marks: number
  /** Letters beyond the fourth of words without accents, and what they have been counted as beyond a token each. */
  plainLetters: number
  plainTokens: number
  /** Letters beyond the third of words with accents. */
  accentedLetters: number
}

const noWords = (): Words => ({
  latin: 0,
  accented: 0,
  marked: 0,
  english: 0,
  marks: 0,
  plainLetters: 0,
  plainTokens: 0,
  accentedLetters: 0,
})

/** In running English every fifth word is one of these, in other tongues hardly any. */
const ENGLISH: ReadonlySet<number> = new Set(
  "the and of to it by be you are not was can has its all our for is"
    .split(" ")
    .map((word) => packed(word, 0, word.length)),
)

function packed(text: string, start: number, end: number): number {
  let number = 0
  for (let i = start; i < end; i++) number = number * 128 + (text.charCodeAt(i) & 0x7f)
  return number
}

/**
 * The tokenizer has learnt most of its words from English: those of other tongues come in more pieces, the longer the more,
 * and in most where accents are many (Polish, Finnish, Turkish beside French, Spanish, German).
 */
function moreIfForeign(words: Words): number {
  const { latin, accented, marked, english, marks, plainLetters, plainTokens, accentedLetters } = words
  if (english > latin * MOST_ENGLISH || marks > latin * MOST_MARKS) return 0
  if (latin < ENOUGH_WORDS && accented <= latin * SOME_ACCENTS) return 0
  const hasMany = accented > latin * MANY_ACCENTS
  const more = plainLetters * (hasMany ? 0.3 : 0.2) + (hasMany ? accentedLetters * 0.1 : 0)
  const moreIfMarked = marked > accented * SOME_MARKED ? accented * MORE_IF_MARKED : 0
  return Math.max(0, more - plainTokens) + moreIfMarked
}

/** Shares of the words. */
const MOST_ENGLISH = 0.07
const MOST_MARKS = 0.6
const SOME_ACCENTS = 0.07
const MANY_ACCENTS = 0.19
/** Where some words are written with marks, all words with accents have hardly been learnt. */
const SOME_MARKED = 0.1
const MORE_IF_MARKED = 0.6
/** Of fewer words without accents nobody can tell. */
const ENOUGH_WORDS = 12

type Before = "blank" | "mark" | "bare"

/** A word of up to `short` letters counts `tokens`, and every letter more `more`. */
interface Shape {
  readonly tokens: number
  readonly short: number
  readonly more: number
}

const SHAPES: Readonly<
  Record<Before, Readonly<Record<"lower" | "capital" | "upper" | "mixed" | "other", Shape>>>
> = {
  blank: {
    lower: { tokens: 1.01, short: 7, more: 0.035 },
    capital: { tokens: 1.1, short: 6, more: 0.1 },
    upper: { tokens: 1, short: 2, more: 0.11 },
    mixed: { tokens: 1.1, short: 3, more: 0.27 },
    other: { tokens: 1.1, short: 3, more: 0.2 },
  },
  bare: {
    lower: { tokens: 1.02, short: 6, more: 0.18 },
    capital: { tokens: 1.05, short: 7, more: 0.08 },
    upper: { tokens: 1.03, short: 2, more: 0.24 },
    mixed: { tokens: 2, short: 3, more: 0.12 },
    other: { tokens: 1.2, short: 2, more: 0.2 },
  },
  mark: {
    lower: { tokens: 1.06, short: 3, more: 0.17 },
    capital: { tokens: 1.5, short: 3, more: 0.12 },
    upper: { tokens: 1.1, short: 2, more: 0.2 },
    mixed: { tokens: 2, short: 3, more: 0.2 },
    other: { tokens: 1.2, short: 1, more: 0.25 },
  },
}

/** Of a word that a blank belongs to; what it says of the text's tongue is noted. */
function blankWordTokens(words: Words, text: string, start: number, end: number): number {
  const letters = end - start
  const script = scriptAt(text, start)
  if (script !== undefined) return scriptTokens(script, text, start, end, 1)
  const shape = shapeOf(text, start, end)
  const plain = tokensOf(SHAPES.blank[shape], letters, letters + 1)
  const marked = shape === "other" ? markedIn(text, start, end) : 0
  const tokens = plain + marked
  words.latin++
  words.marked += marked
  if (shape === "other") {
    words.accented++
    words.accentedLetters += Math.max(0, letters - 3)
  } else if (letters > 3) {
    words.plainLetters += letters - 4
    words.plainTokens += tokens - 1
  } else if (ENGLISH.has(packed(text, start, end))) words.english++
  return tokens
}

function wordTokens(text: string, start: number, end: number, before: "bare" | "mark"): number {
  const letters = end - start
  const script = scriptAt(text, start)
  const ahead = before === "bare" ? 0 : 1
  if (script !== undefined) return scriptTokens(script, text, start, end, ahead)
  const shape = shapeOf(text, start, end)
  const tokens = tokensOf(SHAPES[before][shape], letters, letters + ahead)
  return shape === "other" ? tokens + markedIn(text, start, end) : tokens
}

/**
 * Of scripts that the tokenizer has hardly learnt, a letter is up to as many tokens as bytes.
 *
 * @param ahead Characters before the word that belong to it: 1 or 0.
 */
function scriptTokens(script: Shape, text: string, start: number, end: number, ahead: number): number {
  const letters = end - start
  const most = script.more < 1 ? letters : utf8Bytes(text.slice(start, end))
  return tokensOf(script, letters, most + ahead)
}

/** Marks that are written over and under letters (Yoruba), and letters of phonetics: each is a token of its own. */
function markedIn(text: string, start: number, end: number): number {
  let marked = 0
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i)
    if (code >= FIRST_PHONETIC && code < AFTER_LATIN) marked++
  }
  return marked
}

/** No piece has more tokens than characters. */
function tokensOf({ tokens, short, more }: Shape, letters: number, most: number): number {
  return Math.min(most, tokens + Math.max(0, letters - short) * more)
}

/** One token for each byte, two or three for each letter: of these scripts the tokenizer has learnt nothing. */
const BY_BYTES_2: Shape = { tokens: 3, short: 1, more: 2 }
const BY_BYTES_3: Shape = { tokens: 4, short: 1, more: 3 }

/**
 * Words of other scripts, up to and including the last letter of each; what follows is like the last. The averages were
 * taken over the translations of GTK and GLib into forty languages, and those of the scripts which these have not over the
 * names of countries and languages in Unicode's CLDR.
 */
const SCRIPTS: readonly (readonly [last: number, shape: Shape])[] = [
  [0x03ff, { tokens: 0.9, short: 2, more: 0.375 }], // Greek
  [0x052f, { tokens: 1, short: 2, more: 0.19 }], // Cyrillic; Russian takes a little less, the others more
  [0x058f, { tokens: 1.1, short: 1, more: 0.215 }], // Armenian
  [0x05ff, { tokens: 1, short: 2, more: 0.412 }], // Hebrew
  [0x06ff, { tokens: 1.1, short: 2, more: 0.26 }], // Arabic
  [0x07ff, BY_BYTES_2], // Syriac, Dhivehi, N'Ko
  [0x08ff, BY_BYTES_3],
  [0x097f, { tokens: 1.1, short: 3, more: 0.35 }], // Devanagari
  [0x0aff, { tokens: 1.2, short: 2, more: 0.36 }], // Bengali, Punjabi, Gujarati
  [0x0b7f, { tokens: 1.9, short: 1, more: 1.02 }], // Odia
  [0x0d7f, { tokens: 1.2, short: 2, more: 0.36 }], // other scripts of India
  [0x0dff, { tokens: 1, short: 1, more: 0.57 }], // Sinhala
  [0x0e7f, { tokens: 0.2, short: 0, more: 0.404 }], // Thai, without blanks between words
  [0x0eff, { tokens: 2.5, short: 1, more: 1.84 }], // Lao
  [0x0fff, { tokens: 2.8, short: 1, more: 1.47 }], // Tibetan
  [0x109f, { tokens: 1.2, short: 1, more: 0.54 }], // Burmese
  [0x10ff, { tokens: 1.04, short: 1, more: 0.284 }], // Georgian
  [0x11ff, BY_BYTES_3],
  [0x139f, { tokens: 3, short: 1, more: 2 }], // Ethiopic: Amharic, Tigrinya
  [0x177f, BY_BYTES_3], // Cherokee, the syllabics of Canada
  [0x17ff, { tokens: 1.1, short: 1, more: 0.64 }], // Khmer
  [0x1dff, BY_BYTES_3], // Mongolian, and many with few readers
  [0x1fff, { tokens: 2.2, short: 1, more: 0.5 }], // Greek with all its accents
  [0xabff, BY_BYTES_3], // Tifinagh, Vai, Yi, Javanese
  [0xffff, { tokens: 1, short: 1, more: 0.5 }], // Korean
]

const FIRST_PHONETIC = 0x0250
const AFTER_LATIN = 0x0370

function isLatinExtended(code: number): boolean {
  return code >= 0x1e00 && code <= 0x1eff
}

/** Undefined for Latin letters. */
function scriptAt(text: string, at: number): Shape | undefined {
  const code = text.charCodeAt(at)
  if (code < AFTER_LATIN || isLatinExtended(code)) return undefined
  return SCRIPTS.find(([last]) => code <= last)?.[1]
}

function shapeOf(text: string, start: number, end: number): keyof (typeof SHAPES)[Before] {
  let uppers = 0
  for (let i = start; i < end; i++) {
    const kind = kindAt(text, i)
    if (kind === OTHER_LETTER) return "other"
    if (kind === UPPER) uppers++
  }
  if (uppers === 0) return "lower"
  if (uppers === end - start) return "upper"
  return uppers === 1 ? "capital" : "mixed"
}

/** Capitals and then small letters: `camelCase` is two words, `HTMLParser` is one. */
function wordEnd(text: string, start: number): number {
  let at = start
  while (kindAt(text, at) === UPPER || kindAt(text, at) === OTHER_LETTER) at++
  while (kindAt(text, at) === LOWER || kindAt(text, at) === OTHER_LETTER) at++
  return at + contractionLength(text, at)
}

/** `don't` is one word. */
function contractionLength(text: string, at: number): number {
  if (text.charCodeAt(at) !== APOSTROPHE) return 0
  const ending = text.slice(at + 1, at + 3).toLowerCase()
  if (ending === "re" || ending === "ve" || ending === "ll") return 3
  return ending !== "" && "stmd".includes(ending.charAt(0)) ? 2 : 0
}

function markTokens(text: string, start: number, end: number): number {
  const length = end - start
  const first = text.charCodeAt(start)
  let same = true
  for (let i = start + 1; i < end && same; i++) same = text.charCodeAt(i) === first
  if (same && first < 0x80) return Math.ceil(length / 16)
  if (first >= 0x2000) return length + moreIfRare(text, start, end)
  return MARK_TOKENS[length] ?? 1.95 + (length - 6) / 3
}

/** Characters of two units that are no pictures (historic scripts, rare ideographs), and those of private use. */
function moreIfRare(text: string, start: number, end: number): number {
  let more = 0
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i)
    const isPicture = code >= 0xd83c && code <= 0xd83e
    if ((code >= 0xd800 && code <= 0xdbff && !isPicture) || (code >= 0xe000 && code <= 0xf8ff)) more += 1.9
  }
  return more
}

function spaceTokens(text: string, start: number, end: number): number {
  if (end - start === 1) return 1
  let mixed = 0
  for (let i = start + 1; i < end; i++) {
    const [code, before] = [text.charCodeAt(i), text.charCodeAt(i - 1)]
    if (code !== before) mixed += code < 0x80 && before < 0x80 ? TOKENS_PER_CHANGE : TOKENS_PER_OTHER_CHANGE
    else if (code >= 0x80) mixed += 1 / LONGEST_OTHER_SPACE
  }
  return Math.max(Math.ceil((end - start) / LONGEST_SPACE), Math.floor(mixed))
}

/** Line breaks behind marks go with them: `);` and the end of its line are one token. */
function breaksEnd(text: string, start: number): number {
  let at = start
  while (text.charCodeAt(at) === 0x0a || text.charCodeAt(at) === 0x0d) at++
  return at
}

/** Blanks, and the line breaks among them; a break ends the run. */
function spaceEnd(text: string, start: number): number {
  let at = start
  let lastBreak = -1
  while (kindAt(text, at) === SPACE) {
    const code = text.charCodeAt(at)
    if (code === 0x0a || code === 0x0d) lastBreak = at
    at++
  }
  return lastBreak === -1 || lastBreak === at - 1 ? at : lastBreak + 1
}

function runEnd(text: string, start: number, kind: number): number {
  let at = start
  while (kindAt(text, at) === kind) at++
  return at
}

function isLetter(kind: number): boolean {
  return kind <= OTHER_LETTER
}

function kindAt(text: string, at: number): number {
  if (at >= text.length) return END
  const code = text.charCodeAt(at)
  if (code < 0x80) return ASCII_KINDS[code] as number
  if (code === 0xa0 || code === 0x3000 || (code >= 0x2000 && code <= 0x200a)) return SPACE
  if (code < 0xc0 || (code >= 0x2010 && code <= 0x2bff) || (code >= 0xd800 && code <= 0xf8ff)) return MARK
  if (code >= 0x3001 && code <= 0x3004) return MARK
  if (code >= 0xa000 && code <= 0xd7a3) return OTHER_LETTER
  if (code >= 0x2e80 && code <= 0xd7ff) return IDEOGRAPH
  if (code >= 0xf900 && code <= 0xfaff) return IDEOGRAPH
  if (code >= 0xfe00) return MARK
  return OTHER_LETTER
}

const ASCII_KINDS: Readonly<Uint8Array> = Uint8Array.from({ length: 0x80 }, (_, code) => {
  const char = String.fromCharCode(code)
  if (/[a-z]/.test(char)) return LOWER
  if (/[A-Z]/.test(char)) return UPPER
  if (/[0-9]/.test(char)) return DIGIT
  return /\s/.test(char) ? SPACE : MARK
})
