// Words that say nothing about what a text is about.
const EMPTY_WORDS = new Set(
  (
    "a an and any are as at be been being but by can could did do does for from get give had has have he her his how i " +
    "if in into is it its just let like me my need no not of on one or our out please she should so some tell than that " +
    "the their them then there these they this to up us use want was we were what when where which who whose why will " +
    "with would you your"
  ).split(" "),
)

/** Sentences, list items and lines, without what ends them. A dot inside a number or an address ends nothing. */
export function sentencesOf(text: string): string[] {
  return text
    .split(/(?<=[.!?])["”’)]*\s+|\n+/)
    .map((sentence) => sentence.trim().replace(/^[-*•]\s+/, ""))
    .filter((sentence) => sentence !== "")
}

/** The stems of the words that carry meaning, in order. */
export function keywordsOf(text: string): string[] {
  const words = text
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .match(/[\p{L}\d]+/gu)
  return (words ?? []).filter((word) => word.length > 1 && !EMPTY_WORDS.has(word)).map(stemOf)
}

/** Words, however spelled. */
export function wordCount(text: string): number {
  return text.match(/\S+/g)?.length ?? 0
}

/** A crude stem: enough to match "opens" with "open" and "flights" with "flight". */
function stemOf(word: string): string {
  if (word.length <= 3) return word
  return word.replace(/(?<=..)(?:ies|ied)$/, "y").replace(/(?<=...)(?:ing|ed|es|e|s)$/, "")
}
