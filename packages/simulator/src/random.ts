import { hash } from "node:crypto"

/** Chance that can be told again: the same key gives the same numbers, whoever else drew in between. */
export interface Random {
  /** In [0, 1). */
  next(): number
  /** An integer, both ends included. */
  int(min: number, max: number): number
  /** True with this probability (0 … 1). */
  chance(probability: number): boolean
  /** @throws RangeError for an empty list. */
  pick<T>(items: readonly T[]): T
  /** `count` different items, or all of them in a new order if there are fewer. */
  sample<T>(items: readonly T[], count: number): T[]
}

/**
 * A stream of numbers that belongs to its key: SHA-256 of the key and a counter, 32 bits a number. Keyed rather than
 * sequential, because concurrent requests must not take numbers from each other.
 */
export function randomOf(...key: readonly (string | number)[]): Random {
  const name = JSON.stringify(key)
  let words: readonly number[] = []
  let at = 0
  let block = 0

  const next = (): number => {
    if (at === words.length) {
      words = wordsOf(`${name}#${block}`)
      block += 1
      at = 0
    }
    const word = words[at] ?? 0
    at += 1
    return word / 2 ** 32
  }
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1))
  const pick = <T>(items: readonly T[]): T => {
    if (items.length === 0) throw new RangeError("cannot pick from an empty list")
    return items[int(0, items.length - 1)] as T
  }
  const sample = <T>(items: readonly T[], count: number): T[] => {
    const left = [...items]
    const taken: T[] = []
    while (taken.length < count && left.length > 0) taken.push(...left.splice(int(0, left.length - 1), 1))
    return taken
  }
  return { next, int, chance: (probability) => next() < probability, pick, sample }
}

function wordsOf(text: string): readonly number[] {
  const digest = hash("sha256", text, "buffer")
  return Array.from({ length: 8 }, (_, index) => digest.readUInt32LE(index * 4))
}
