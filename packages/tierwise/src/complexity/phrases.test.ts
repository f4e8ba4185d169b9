import { describe, expect, it } from "vitest"
import { ConfigError } from "../spec/errors.ts"
import { splitWords } from "../tokens/split-words.ts"
import { findPhrases, phrase, phraseIndex, phraseStartsAt, phrases } from "./phrases.ts"

describe("findPhrases", () => {
  it.each([
    ["Zero Trust networks", ["zero trust"]],
    ["our zero-trust\n  model", ["zero trust"]],
    ["ZERO_TRUST", ["zero trust"]],
    ["subzero trusts", []],
    ["zero. Trust me", []],
    ["A vs. B", ["vs"]],
    ["versus, vsan", []],
    ["what’s the difference  between them", ["difference between", "what's"]],
    ["请比较两者", ["比 较"]],
    ["", []],
  ])("finds whole words in any case and spacing: %j", (text, expected) => {
    expect(found(["zero-trust", "vs", "difference between", "what's", "比较"], text).sort()).toEqual(expected)
  })

  it("tells phrases apart that begin alike", () => {
    const wanted = ["root cause", "root", "root cause analysis"]
    expect(found(wanted, "the root cause of it")).toEqual(["root cause", "root"])
  })

  it("finds each phrase once", () => {
    expect(found(["vs"], "a vs b vs c")).toEqual(["vs"])
  })

  it("looks closer where two words share a hash", () => {
    const words = splitWords("alpha")
    const impostor = { ...phrase("gamma", "phrase"), hashes: words.hashes }
    expect(phraseStartsAt(words, 0, impostor)).toBe(false)
  })

  it("refuses a phrase without a word by its place", () => {
    expect(() => phrases(["vs", "?!"], "rules[0].when.anyOf")).toThrow(ConfigError)
    expect(() => phrases(["vs", "?!"], "rules[0].when.anyOf")).toThrow("rules[0].when.anyOf[1]")
  })
})

function found(wanted: readonly string[], text: string): string[] {
  return [...findPhrases(phraseIndex(phrases(wanted, "phrases")), splitWords(text))]
}
