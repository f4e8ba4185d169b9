import { describe, expect, it } from "vitest"
import { addUsage, type Usage } from "./usage.ts"

const first: Usage = {
  inputTokens: 100,
  outputTokens: 20,
  cachedInputTokens: 30,
  cacheWriteTokens: 40,
  reasoningTokens: 5,
  estimated: false,
}

describe("addUsage", () => {
  it("adds up every kind of token", () => {
    const second: Usage = {
      inputTokens: 1,
      outputTokens: 2,
      cachedInputTokens: 3,
      cacheWriteTokens: 4,
      reasoningTokens: 6,
      estimated: false,
    }
    expect(addUsage(first, second)).toEqual({
      inputTokens: 101,
      outputTokens: 22,
      cachedInputTokens: 33,
      cacheWriteTokens: 44,
      reasoningTokens: 11,
      estimated: false,
    })
  })

  it("is an estimate as soon as one of the two is", () => {
    expect(addUsage(first, { ...first, estimated: true })?.estimated).toBe(true)
    expect(addUsage({ ...first, estimated: true }, first)?.estimated).toBe(true)
  })

  it("takes undefined for nothing", () => {
    expect(addUsage(undefined, first)).toBe(first)
    expect(addUsage(first, undefined)).toBe(first)
    expect(addUsage(undefined, undefined)).toBeUndefined()
  })
})
