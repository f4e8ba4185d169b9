import { describe, expect, it } from "vitest"
import { textShape } from "./text-shape.ts"

describe("textShape", () => {
  it.each([
    ["", 0],
    ["...", 0],
    ["One", 1],
    ["One. Two! Three?", 3],
    ["Version 3.14 of node.js", 1],
    ["Really?! Yes...", 2],
    ["a line\nanother line\n\n", 2],
    ["第一句。第二句！", 2],
  ])("counts the sentences of %j", (text, sentences) => {
    expect(textShape(text).sentences).toBe(sentences)
  })

  it.each([
    ["Why? And how? Now.", 2],
    ["为什么？", 1],
    ["see example.org/?q=1 please", 1],
    ["no", 0],
  ])("counts the questions of %j", (text, questions) => {
    expect(textShape(text).questions).toBe(questions)
  })

  it.each([
    ["- one\n- two\n  * three", 3],
    ["1. one\n2) two\n• three", 3],
    ["Version\n3.14 is out - really\n-5 degrees", 0],
    ["Do:\n10. this", 1],
  ])("counts the list items of %j", (text, listItems) => {
    expect(textShape(text).listItems).toBe(listItems)
  })
})
