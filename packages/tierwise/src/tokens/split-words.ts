/**
 * The words of a text, as numbers, so that a thousand characters cost microseconds: two parallel lists instead of
 * a string per word. A word is a run of letters and digits with its inner apostrophes (`don't`); an ideograph or kana
 * is a word of its own, because those scripts put no space between words. Hyphens and underscores separate:
 * `zero-trust` and `security_analysis` are two words each.
 */
export interface Words {
  /** What was split: the text in lower case, NFC, with straight apostrophes. `starts` points into it. */
  readonly text: string
  /** `wordHash` of each word. Two different words may share one; compare the text where that would matter. */
  readonly hashes: readonly number[]
  /** Where each word begins; `wordEnd` says where it ends. */
  readonly starts: readonly number[]
  /**
   * Words as a person counts them: what stands between spaces counts once (`year-over-year`, `3.14`), and two
   * ideographs make one word, the average of Chinese and Japanese.
   */
  readonly count: number
}

/** Splits a text into words. Linear in its length; any string will do, lone surrogates too. */
export function splitWords(original: string): Words {
  const text = original.normalize("NFC").toLowerCase().replaceAll("’", "'")
  const hashes: number[] = []
  const starts: number[] = []
  let inWord = false
  let hash = HASH_SEED
  let spaced = true
  let pieces = 0
  let ideographs = 0

  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const kind = KINDS[code]
    if (kind === LETTER) {
      if (!inWord) {
        inWord = true
        starts.push(i)
        hash = HASH_SEED
        if (spaced) pieces++
        spaced = false
      }
      hash = step(hash, code)
      continue
    }
    if (inWord) {
      if (kind === APOSTROPHE && KINDS[text.charCodeAt(i + 1)] === LETTER) {
        hash = step(hash, code)
        continue
      }
      hashes.push(hash & HASH_MASK)
      inWord = false
    }
    if (kind === SPACE) {
      spaced = true
    } else if (kind === IDEOGRAPH) {
      starts.push(i)
      hash = step(HASH_SEED, code)
      if (isPair(code) && i + 1 < text.length) hash = step(hash, text.charCodeAt(++i))
      hashes.push(hash & HASH_MASK)
      ideographs++
      spaced = true
    }
  }
  if (inWord) hashes.push(hash & HASH_MASK)
  return { text, hashes, starts, count: pieces + Math.ceil(ideographs / 2) }
}

/** FNV-1a over UTF-16 units, cut to 30 bits: integers of that size are cheap keys. Takes words as `splitWords` makes them. */
export function wordHash(word: string): number {
  let hash = HASH_SEED
  for (let i = 0; i < word.length; i++) hash = step(hash, word.charCodeAt(i))
  return hash & HASH_MASK
}

/** Where a word ends. Found when it is asked for, because few words are looked at closely. */
export function wordEnd({ text, starts }: Words, at: number): number {
  const start = starts[at] ?? text.length
  const first = text.charCodeAt(start)
  if (KINDS[first] === IDEOGRAPH) return Math.min(text.length, start + (isPair(first) ? 2 : 1))
  let end = start
  while (end < text.length && isInWord(text, end)) end++
  return end
}

const HASH_SEED = 0x811c9dc5 | 0
const HASH_MASK = 0x3fffffff

function step(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193)
}

const BREAK = 0
const LETTER = 1
const IDEOGRAPH = 2
const SPACE = 3
const APOSTROPHE = 4

function isInWord(text: string, at: number): boolean {
  const kind = KINDS[text.charCodeAt(at)]
  return kind === LETTER || (kind === APOSTROPHE && KINDS[text.charCodeAt(at + 1)] === LETTER)
}

/** The first half of a character of two units. */
function isPair(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

/** Beyond ASCII nearly everything is a letter; these are not. First and last UTF-16 unit, in order. */
const OTHER_KINDS: readonly (readonly [number, number, number])[] = [
  [0x0080, 0x009f, BREAK],
  [0x00a0, 0x00a0, SPACE],
  [0x00a1, 0x00a9, BREAK],
  [0x00ab, 0x00b4, BREAK],
  [0x00b6, 0x00b9, BREAK],
  [0x00bb, 0x00bf, BREAK],
  [0x00d7, 0x00d7, BREAK],
  [0x00f7, 0x00f7, BREAK],
  [0x055a, 0x055f, BREAK], // Armenian punctuation
  [0x0589, 0x058a, BREAK],
  [0x05be, 0x05be, BREAK], // Hebrew punctuation
  [0x05f3, 0x05f4, BREAK],
  [0x060c, 0x060d, BREAK], // Arabic punctuation
  [0x061b, 0x061f, BREAK],
  [0x066a, 0x066d, BREAK],
  [0x06d4, 0x06d4, BREAK],
  [0x0964, 0x0965, BREAK], // danda
  [0x0e5a, 0x0e5b, BREAK],
  [0x1680, 0x1680, SPACE],
  [0x2000, 0x200b, SPACE],
  [0x200c, 0x200d, LETTER], // joiners live inside words of Persian and of Indic scripts
  [0x200e, 0x2027, BREAK],
  [0x2028, 0x2029, SPACE],
  [0x202a, 0x202e, BREAK],
  [0x202f, 0x202f, SPACE],
  [0x2030, 0x205e, BREAK],
  [0x205f, 0x205f, SPACE],
  [0x2060, 0x206f, BREAK],
  [0x207a, 0x207e, BREAK],
  [0x208a, 0x208e, BREAK],
  [0x20a0, 0x20cf, BREAK], // currency
  [0x2190, 0x2bff, BREAK], // arrows, mathematics, boxes, dingbats
  [0x2e00, 0x2e7f, BREAK],
  [0x2e80, 0x2fdf, IDEOGRAPH], // radicals
  [0x2ff0, 0x2fff, BREAK],
  [0x3000, 0x3000, SPACE],
  [0x3001, 0x3004, BREAK],
  [0x3005, 0x3007, IDEOGRAPH],
  [0x3008, 0x3020, BREAK],
  [0x3021, 0x3029, IDEOGRAPH],
  [0x302a, 0x3030, BREAK],
  [0x3031, 0x312f, IDEOGRAPH], // kana, bopomofo
  [0x31a0, 0x31bf, IDEOGRAPH],
  [0x31c0, 0x31ef, BREAK],
  [0x31f0, 0x31ff, IDEOGRAPH],
  [0x3200, 0x33ff, BREAK],
  [0x3400, 0x4dbf, IDEOGRAPH],
  [0x4dc0, 0x4dff, BREAK],
  [0x4e00, 0x9fff, IDEOGRAPH],
  [0xd800, 0xd83f, BREAK], // first halves of emoji, symbols and historic scripts
  [0xd840, 0xd88c, IDEOGRAPH], // first halves of rare ideographs
  [0xd88d, 0xf8ff, BREAK], // other halves, private use
  [0xf900, 0xfaff, IDEOGRAPH],
  [0xfe00, 0xfe6f, BREAK],
  [0xfeff, 0xff0f, BREAK],
  [0xff1a, 0xff20, BREAK],
  [0xff3b, 0xff40, BREAK],
  [0xff5b, 0xff65, BREAK],
  [0xff66, 0xff9f, IDEOGRAPH], // half-width kana
  [0xffe0, 0xffff, BREAK],
]

const KINDS: Readonly<Uint8Array> = kindsByUnit()

/** One byte per UTF-16 unit, so that the loop above needs one look-up per character. */
function kindsByUnit(): Uint8Array {
  const kinds = new Uint8Array(0x10000).fill(LETTER)
  for (let code = 0; code < 0x80; code++) kinds[code] = asciiKind(String.fromCharCode(code))
  for (const [first, last, kind] of OTHER_KINDS) kinds.fill(kind, first, last + 1)
  return kinds
}

function asciiKind(char: string): number {
  if (/[a-z0-9]/i.test(char)) return LETTER
  if (/\s/.test(char)) return SPACE
  return char === "'" ? APOSTROPHE : BREAK
}
