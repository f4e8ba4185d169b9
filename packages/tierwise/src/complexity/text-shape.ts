/** What a text looks like from a distance. */
export interface TextShape {
  /** Pieces that hold something and end with a full stop, a question or exclamation mark, or a line break. */
  readonly sentences: number
  readonly questions: number
  /** Lines that begin with `-`, `*`, `•`, `1.` or `1)`. */
  readonly listItems: number
}

/** One pass over the text. */
export function textShape(text: string): TextShape {
  let sentences = 0
  let questions = 0
  let listItems = beginsItem(text, 0) ? 1 : 0
  let start = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const sign = code < 128 ? SIGNS[code] : WIDE_SIGNS.get(code)
    if (sign === undefined || sign === NO_SIGN) continue
    if (sign === QUESTION) questions++
    if (sign === LINE_END && beginsItem(text, i + 1)) listItems++
    if (sign !== LINE_END && code < 128 && !isFollowedBySpace(text, i)) continue
    if (isFilled(text, start, i)) sentences++
    start = i + 1
  }
  return { sentences: isFilled(text, start, text.length) ? sentences + 1 : sentences, questions, listItems }
}

const SPACE = 32
const NO_SIGN = 0
const LINE_END = 1
const SENTENCE_END = 2
const QUESTION = 3

const ASCII_SIGNS: Readonly<Record<string, number>> = {
  "\n": LINE_END,
  ".": SENTENCE_END,
  "!": SENTENCE_END,
  "?": QUESTION,
}

/** Nearly all characters mean nothing, and are passed in one look-up. */
const SIGNS: Readonly<Uint8Array> = Uint8Array.from(
  { length: 128 },
  (_, code) => ASCII_SIGNS[String.fromCharCode(code)] ?? NO_SIGN,
)

const WIDE_SIGNS: ReadonlyMap<number, number> = new Map(
  [
    ["。", SENTENCE_END],
    ["！", SENTENCE_END],
    ["।", SENTENCE_END],
    ["？", QUESTION],
    ["؟", QUESTION],
  ].map(([mark, sign]) => [(mark as string).charCodeAt(0), sign as number]),
)

/** The dot of `3.14` or `node.js` ends nothing. */
function isFollowedBySpace(text: string, at: number): boolean {
  return at + 1 === text.length || text.charCodeAt(at + 1) <= SPACE
}

/** Whether anything but spaces and marks stands there; for a sentence its first letter says so. */
function isFilled(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i)
    if (isDigit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code >= 128) return true
  }
  return false
}

function beginsItem(text: string, lineStart: number): boolean {
  let at = lineStart
  while (text[at] === " " || text[at] === "\t") at++
  const first = text[at]
  if (first === "-" || first === "*" || first === "•") return text[at + 1] === " "
  let next = at
  while (next < at + 3 && isDigit(text.charCodeAt(next))) next++
  return next > at && (text[next] === "." || text[next] === ")") && text[next + 1] === " "
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}
