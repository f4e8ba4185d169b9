import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { splitWords, wordEnd, wordHash } from "./split-words.ts"

describe("splitWords", () => {
  it("takes runs of letters and digits, in lower case", () => {
    expect(wordsOf("Hello, WORLD 42!")).toEqual(["hello", "world", "42"])
  })

  it("separates at hyphens and underscores, and keeps inner apostrophes", () => {
    expect(wordsOf("zero-trust security_analysis don't l’eau 'quoted'")).toEqual([
      "zero",
      "trust",
      "security",
      "analysis",
      "don't",
      "l'eau",
      "quoted",
    ])
  })

  it("takes each ideograph and kana for a word", () => {
    expect(wordsOf("用Python比較する𠮷。")).toEqual(["用", "python", "比", "較", "す", "る", "𠮷"])
  })

  it("keeps letters of other alphabets together and drops their punctuation", () => {
    expect(wordsOf("Привет, мир! ما هي؟ 한국어 «größe»")).toEqual([
      "привет",
      "мир",
      "ما",
      "هي",
      "한국어",
      "größe",
    ])
  })

  it("gives composed and decomposed letters the same word", () => {
    expect(splitWords("gro\u0308ße").hashes).toEqual(splitWords("größe").hashes)
  })

  it.each([
    ["What is the year-over-year growth of node.js at 3.14?", 9],
    ["don't", 1],
    ["", 0],
    ["…!? 🎉", 0],
    ["什么是光合作用", 4],
    ["one\ntwo\u00a0three", 3],
  ])("counts words as a person does: %s", (text, count) => {
    expect(splitWords(text).count).toBe(count)
  })

  it("hashes, places and ends every word of any string", () => {
    const anyString = fc
      .array(fc.integer({ min: 0, max: 0xffff }))
      .map((units) => String.fromCharCode(...units))
    fc.assert(
      fc.property(fc.oneof(anyString, fc.lorem(), fc.string({ unit: "grapheme" })), (text) => {
        const words = splitWords(text)
        expect(words.starts).toHaveLength(words.hashes.length)
        wordsOf(text).forEach((word, index) => {
          expect(word).not.toBe("")
          expect(wordHash(word)).toBe(words.hashes[index])
        })
      }),
    )
  })
})

function wordsOf(text: string): readonly string[] {
  const words = splitWords(text)
  return words.starts.map((start, index) => words.text.slice(start, wordEnd(words, index)))
}
