/** This many marks, and at least one in so many characters, make a text code. Chosen on prose, formulas and snippets. */
const MIN_MARKS = 4
const CHARS_PER_MARK = 60

/** Pairs that prose does not have. */
const OPERATORS: ReadonlySet<string> = new Set([
  "=>",
  "==",
  "!=",
  "&&",
  "||",
  "::",
  "->",
  "+=",
  ":=",
  "</",
  "/>",
])

/** Words that begin a line of code. They count only where the line has a mark, for prose may begin with "if". */
const LINE_OPENERS: ReadonlySet<string> = new Set(
  (
    "import from def class function const let var return public private static void if for while else elif try catch " +
    "package using func fn type interface struct enum async await export select insert update delete create"
  ).split(" "),
)

const LONGEST_OPENER = 9

/**
 * Whether a text holds code: a fence, or enough of the punctuation that code has and prose has not, close together.
 * One pass; a guess that is good enough for routing.
 */
export function looksLikeCode(text: string): boolean {
  if (text.includes("```") || text.includes("~~~")) return true
  let marks = 0
  let lineMarks = 0
  let lineStart = 0
  for (let i = 0; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : NEWLINE
    const sign = code < 128 ? SIGNS[code] : NO_SIGN
    if (sign === NO_SIGN) continue
    if (sign === LINE_END) {
      lineMarks += closingMarks(text, lineStart, i)
      marks += lineMarks + openingMarks(text, lineStart, i, lineMarks > 0)
      lineMarks = 0
      lineStart = i + 1
    } else if (sign === OPENING) {
      if (isCall(text, i)) lineMarks++
    } else if (OPERATORS.has(text.slice(i - 1, i + 1))) {
      lineMarks += 2
    }
  }
  return marks >= MIN_MARKS && marks * CHARS_PER_MARK >= text.length
}

const NEWLINE = 10
const SPACE = 32
const EQUALS = 61

const NO_SIGN = 0
const LINE_END = 1
const OPENING = 2
const OPERATOR_END = 3

/** What a character means for the loop above; nearly all mean nothing, and are passed in one look-up. */
const SIGNS: Readonly<Uint8Array> = signs()

function signs(): Uint8Array {
  const table = new Uint8Array(128)
  table[NEWLINE] = LINE_END
  for (const mark of "([") table[mark.charCodeAt(0)] = OPENING
  for (const operator of OPERATORS) table[operator.charCodeAt(1)] = OPERATOR_END
  return table
}

/** `call(` and `list[`; but a formula's `f(x)` has a name of one letter, and prose writes `error(s)`. */
function isCall(text: string, at: number): boolean {
  return (
    isNamePart(text.charCodeAt(at - 1)) &&
    isNamePart(text.charCodeAt(at - 2)) &&
    !text.startsWith("s)", at + 1)
  )
}

/** A line that ends with `;`, `{` or `}`. */
function closingMarks(text: string, start: number, end: number): number {
  let last = end - 1
  while (last >= start && text.charCodeAt(last) <= SPACE) last--
  return last >= start && ";{}".includes(text.charAt(last)) ? 2 : 0
}

/** What the beginning of a line says: `name =` is an assignment; a keyword counts beside other marks. */
function openingMarks(text: string, start: number, end: number, hasMarks: boolean): number {
  let from = start
  while (from < end && text.charCodeAt(from) <= SPACE) from++
  let to = from
  while (to < end && isNamePart(text.charCodeAt(to))) to++
  if (to === from) return 0
  let next = to
  while (next < end && text.charCodeAt(next) === SPACE) next++
  if (text.charCodeAt(next) === EQUALS && text.charCodeAt(next + 1) !== EQUALS) return 2
  return hasMarks && to - from <= LONGEST_OPENER && LINE_OPENERS.has(text.slice(from, to).toLowerCase())
    ? 2
    : 0
}

function isNamePart(code: number): boolean {
  return (
    (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57) || code === 95
  )
}
