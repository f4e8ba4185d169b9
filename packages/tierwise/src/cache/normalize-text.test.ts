import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { normalizeText } from "./normalize-text.ts"

describe("normalizeText", () => {
  it.each([
    ["blanks around it", "  What is VAT?\n\n", "What is VAT?"],
    ["line ends of other systems", "One.\r\nTwo.\rThree.", "One.\nTwo.\nThree."],
    ["blanks at the end of a line", "One.  \nTwo.\t", "One.\nTwo."],
    ["runs of spaces", "What   is\u00a0 VAT?", "What is VAT?"],
    ["two spaces after a full stop", "One.  Two.\nThree.  Four.", "One. Two.\nThree. Four."],
    ["decomposed letters", "gro\u0308ße", "größe"],
    ["an apostrophe inside a word", "Don't  panic.", "Don't panic."],
  ])("evens out %s", (_, text, normal) => {
    expect(normalizeText(text)).toBe(normal)
  })

  it.each([
    ["case", "US", "us"],
    ["punctuation", "Really?", "Really."],
    ["lines", "a b", "a\nb"],
    ["indentation", "if x:\n  y\nz", "if x:\ny\nz"],
    ["the indentation of a first line", "  y\nz", "y\nz"],
    ["spaces in double quotes", 'Print "a  b"', 'Print "a b"'],
    ["spaces in single quotes", "Print 'a  b'", "Print 'a b'"],
    ["spaces in a fence", "Run ```a  b```", "Run ```a b```"],
    ["tabs", "a\tb", "a b"],
    ["columns", "Jan   12\nFeb      7", "Jan   12\nFeb   7"],
    ["spaces in code", "x  =  1", "x = 1"],
  ])("keeps %s", (_, one, other) => {
    expect(normalizeText(one)).not.toBe(normalizeText(other))
  })

  it("changes nothing more when it is applied again", () => {
    fc.assert(
      fc.property(fc.oneof(spaced, fc.string({ unit: "binary" }), fc.lorem()), (text) => {
        const once = normalizeText(text)
        expect(normalizeText(once)).toBe(once)
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([" ", "\n", "a", " a", "'", "\t\n", "  \n  "])("takes a megabyte of %j in its stride", (piece) => {
    const text = `x${piece.repeat(1_000_000 / piece.length)}x`
    const startedAt = performance.now()
    normalizeText(text)
    expect(performance.now() - startedAt).toBeLessThan(1_500)
  })
})

/** Texts of the characters that matter here. */
const spaced = fc
  .array(
    fc.constantFrom(...Array.from("ab\u0301\u2000\ufeff\u3000 \t\n\r\u00a0.'\"`{}[];=xé中"), "  ", "\n  "),
  )
  .map((pieces) => pieces.join(""))
