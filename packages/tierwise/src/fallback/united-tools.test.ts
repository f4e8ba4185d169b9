import { describe, expect, it } from "vitest"
import { toolsIn, unitedTools } from "./united-tools.ts"

const openai = (name: string, description = "") => ({ type: "function", function: { name, description } })

describe("unitedTools", () => {
  it("keeps the earlier tools, and adds the later ones", () => {
    expect(unitedTools([{ name: "a" }], [openai("b")])).toEqual([{ name: "a" }, openai("b")])
  })

  it("replaces a tool by a later one of its name, whatever their forms", () => {
    expect(unitedTools([{ name: "a" }, openai("b")], [openai("a", "new")])).toEqual([
      openai("b"),
      openai("a", "new"),
    ])
  })

  it("keeps tools without a name, once each", () => {
    const search = { googleSearch: {} }
    expect(unitedTools([search, { codeExecution: {} }], [search])).toEqual([{ codeExecution: {} }, search])
  })
})

describe("toolsIn", () => {
  it("finds what was bound last", () => {
    expect(toolsIn({ tools: [1] }, { stop: ["x"] }, { tools: [2] })).toEqual([2])
    expect(toolsIn(undefined, { stop: ["x"] })).toEqual([])
  })
})
