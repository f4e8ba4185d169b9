import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { utf8Bytes } from "./utf8-bytes.ts"

describe("utf8Bytes", () => {
  it("counts what an encoder makes, of any string, half surrogate pairs included", () => {
    const anyString = fc
      .array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xd7ff, max: 0xe001 })))
      .map((units) => String.fromCharCode(...units))
    fc.assert(
      fc.property(anyString, (text) => {
        expect(utf8Bytes(text)).toBe(new TextEncoder().encode(text).length)
      }),
    )
  })

  it("counts one, two, three and four bytes", () => {
    expect(["a", "é", "中", "🎉"].map(utf8Bytes)).toEqual([1, 2, 3, 4])
  })

  it("counts a megabyte without a space", () => {
    expect(utf8Bytes("é".repeat(500_000))).toBe(1_000_000)
  })
})
