import { type Words, wordHash } from "../tokens/split-words.ts"

/**
 * Words that make a request polite and not harder. They count for nothing: a greeting alone is trivial, and "hello,
 * could you please …, thanks" scores as what stands between.
 */
export const COURTESY_WORDS: readonly string[] = (
  "hello hi hey hiya greetings thanks thank thx please pls kindly bye " +
  "hallo moin servus danke bitte bonjour bonsoir merci svp hola gracias olá obrigado obrigada " +
  "ciao buongiorno buonasera grazie dank alstublieft привет здравствуйте спасибо пожалуйста"
).split(" ")

/** Courtesies are looked for among so many words at the start: in a longer text they make no difference. */
const FIRST_WORDS = 50

/** The words of a text that are more than courtesy. */
export interface Substance {
  /** As `Words.count`, without the courtesies. */
  readonly count: number
  /** Hashes of the first ones. */
  readonly first: readonly number[]
  /** Which word is the first of them; the number of words if there is none. */
  readonly begins: number
}

/** Takes the courtesies out of a text. */
export function withoutCourtesy(words: readonly string[] = COURTESY_WORDS): (split: Words) => Substance {
  const courtesies: ReadonlySet<number> = new Set(
    words.map((word) => wordHash(word.normalize("NFC").toLowerCase())),
  )
  return ({ hashes, count }) => {
    const looked = hashes.slice(0, FIRST_WORDS)
    const first = looked.filter((hash) => !courtesies.has(hash))
    const begins = looked.findIndex((hash) => !courtesies.has(hash))
    return {
      count: Math.max(0, count - (looked.length - first.length)),
      first,
      begins: begins === -1 ? looked.length : begins,
    }
  }
}
