import { describe, expect, it } from "vitest"
import { firstPieceTimes } from "./first-piece-times.ts"

describe("firstPieceTimes", () => {
  it("tells nothing of fewer than twenty answers", () => {
    const times = firstPieceTimes()
    for (let ms = 1; ms < 20; ms++) times.saw("a", ms)
    expect(times.p95("a")).toBeUndefined()
    times.saw("a", 20)
    expect(times.p95("a")).toBe(19)
    expect(times.p95("b")).toBeUndefined()
  })

  it("goes by the latest 128", () => {
    const times = firstPieceTimes()
    for (let i = 0; i < 128; i++) times.saw("a", 1_000)
    for (let i = 0; i < 128; i++) times.saw("a", 10)
    expect(times.p95("a")).toBe(10)
  })
})
