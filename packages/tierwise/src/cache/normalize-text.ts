/**
 * One spelling for texts that ask the same: NFC, `\n` line ends, no blanks at the end of a line, no empty lines and no
 * blanks around the text. In prose, a run of spaces inside a line becomes one.
 *
 * Spaces stay as they are where they may mean something: in a text with indented lines, with columns lined up over
 * several lines, or with any character that prose does without (quotes, brackets, tabs, operators, backticks). Case
 * and punctuation always stay: "US" is not "us". Idempotent; linear in the length.
 */
export function normalizeText(text: string): string {
  const tidy = tidyLines(text)
  if (isIndented(tidy)) return tidy
  const trimmed = tidy.trim()
  return isProse(trimmed) ? trimmed.replace(/\p{Zs}+/gu, " ") : trimmed
}

function tidyLines(text: string): string {
  const lines = text
    .normalize("NFC")
    .replace(/\r\n?/g, "\n")
    .split("\n")
    .map((line) => line.trimEnd())
  const isFilled = (line: string) => line !== ""
  return lines.slice(Math.max(0, lines.findIndex(isFilled)), lines.findLastIndex(isFilled) + 1).join("\n")
}

/** A single line has nothing to be indented against. */
function isIndented(text: string): boolean {
  return text.includes("\n") && text.split("\n").some((line) => line !== line.trimStart())
}

function isProse(text: string): boolean {
  const isLinedUp = text.includes("\n") && LINED_UP.test(text)
  return !isLinedUp && !BEYOND_PROSE.test(text) && !LONE_APOSTROPHE.test(text)
}

/** Typists put two spaces after a full stop; three are there to reach a column. */
const LINED_UP = /\S\p{Zs}{3,}\S/u

const BEYOND_PROSE = /[^\p{L}\p{M}\p{N}\p{Zs}\p{Sc}\n.,:?!…%&()'’“”„«»–—-]/u

/** An apostrophe inside a word is prose; any other may be a quote, and quotes keep their spaces. */
const LONE_APOSTROPHE = /(?<!\p{L})'|'(?!\p{L})/u
