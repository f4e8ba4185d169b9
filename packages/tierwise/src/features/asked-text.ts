/** The most characters of one human turn that are read for its difficulty. */
export const MAX_ASK_CHARS = 8_000

/**
 * What is read of a human turn. Of a long one the beginning and the end: people write the question before or after
 * what they paste.
 */
export function sample(text: string): string {
  if (text.length <= MAX_ASK_CHARS) return text
  const half = MAX_ASK_CHARS / 2
  return `${text.slice(0, half)}\n${text.slice(1 - half)}`
}
