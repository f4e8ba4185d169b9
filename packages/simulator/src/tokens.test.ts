import { describe, expect, it } from "vitest"
import { countPrompt, countText, piecesOf } from "./tokens.ts"

describe("tokens", () => {
  it("counts the conversation of OpenAI's cookbook as the cookbook does for gpt-4o: 124", () => {
    const messages = [
      [
        "system",
        "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
      ],
      ["example_user", "New synergies will help drive top-line growth."],
      ["example_assistant", "Things working well together will increase revenue."],
      [
        "example_user",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
      ],
      ["example_assistant", "Let's talk later when we're less busy about how to do better."],
      ["user", "This late pivot means we don't have time to boil the ocean for the client deliverable."],
    ].map(([who = "", content = ""]) =>
      who.startsWith("example")
        ? { role: "system" as const, name: who, content }
        : { role: who as "system" | "user", content },
    )
    expect(countPrompt({ model: "any", messages }).total).toBe(124)
  })

  it("gives back the text in pieces, whatever it is written in", () => {
    for (const text of [
      "Hello, world!",
      "blåbær 世界 👩‍👩‍👧 naïve",
      "a<|endoftext|>b",
      "\uD800 lone",
      "  \n\t x".repeat(400),
    ]) {
      const pieces = piecesOf(text)
      expect(pieces.map((piece) => piece.text).join("")).toBe(text)
      expect(pieces.every((piece) => piece.text !== "" && piece.tokens > 0)).toBe(true)
      expect(pieces.reduce((sum, piece) => sum + piece.tokens, 0)).toBe(countText(text))
    }
  })

  it("counts long prose as the sum of its words, slice or no slice", () => {
    const sentence = "The committee discussed the harbour at length without coming to any conclusion."
    const one = countText(sentence)
    expect(countText(Array.from({ length: 500 }, () => sentence).join(" "))).toBe(500 * one)
  })

  it("counts a megabyte without spaces in reasonable time", () => {
    const started = performance.now()
    expect(countText("a".repeat(1_000_000))).toBeGreaterThan(100_000)
    expect(performance.now() - started).toBeLessThan(3_000)
  })
})
