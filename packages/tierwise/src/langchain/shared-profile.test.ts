import { describe, expect, it } from "vitest"
import { sharedProfile } from "./shared-profile.ts"

describe("sharedProfile", () => {
  it("is the smallest of the numbers, and a capability that all have", () => {
    const small = { maxInputTokens: 8_000, maxOutputTokens: 4_000, toolCalling: true, imageInputs: true }
    const large = { maxInputTokens: 200_000, maxOutputTokens: 2_000, toolCalling: true, imageInputs: false }
    const shared = { maxInputTokens: 8_000, maxOutputTokens: 2_000, toolCalling: true, imageInputs: false }
    expect(sharedProfile([small, large])).toEqual(shared)
    expect(sharedProfile([large, small])).toEqual(shared)
  })

  it("names the types that all of them take", () => {
    const types = (...list: readonly string[]) => ({ fileTypes: list }) as object
    expect(sharedProfile([types("pdf", "csv"), types("csv", "txt"), types("csv")])).toEqual(types("csv"))
  })

  it("does not say what one of them does not say, or says in another form", () => {
    expect(sharedProfile([{ maxInputTokens: 8_000, toolCalling: true }, {}])).toEqual({})
    expect(Object.keys(sharedProfile([{ toolCalling: true }, {}]))).toEqual([])
    expect(sharedProfile([{ toolCalling: true }, { toolCalling: "yes" } as object])).toEqual({})
  })

  it("is the only one's own, and empty for nobody's", () => {
    expect(sharedProfile([{ maxInputTokens: 8_000 }])).toEqual({ maxInputTokens: 8_000 })
    expect(sharedProfile([])).toEqual({})
  })
})
