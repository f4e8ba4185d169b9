import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { canonicalJson, plainJson } from "./plain-json.ts"

describe("plainJson", () => {
  it("writes what reads back as it was, and nothing else", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        // JSON has one zero.
        expect(JSON.parse(plainJson(value) as string)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it.each([
    ["bytes", { data: new Uint8Array([1]) }],
    ["a date", { at: new Date(0) }],
    ["a function", { call: () => 1 }],
    ["a bigint", { n: 1n }],
    ["a number that is none", [Number.NaN]],
    ["a map", new Map()],
    ["an object that rewrites itself", { toJSON: () => "else" }],
    ["a cycle", cycle()],
  ])("refuses %s", (_, value) => {
    expect(plainJson(value)).toBeUndefined()
  })
})

describe("canonicalJson", () => {
  it("gives one text for every order of keys, at every depth", () => {
    fc.assert(
      fc.property(fc.object({ withBigInt: false, withDate: false }), (value) => {
        expect(canonicalJson(reversed(value))).toBe(canonicalJson(value))
      }),
    )
  })

  it("loses nothing: different data has different texts", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value) as string)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it("leaves out what is undefined", () => {
    expect(canonicalJson({ b: undefined, a: 1 })).toBe(canonicalJson({ a: 1 }))
  })

  it("tells bytes apart, all 256 of them", () => {
    const texts = Array.from({ length: 256 }, (_, byte) => canonicalJson(new Uint8Array([byte])))
    expect(new Set(texts).size).toBe(256)
    expect(texts).not.toContain(undefined)
  })

  it("tells lone surrogates apart in plain ASCII, for hashes that would mix them up", () => {
    expect(canonicalJson("\ud800a")).toBe('"\\ud800a"')
  })

  it("writes a schema object as its JSON Schema", () => {
    const text = canonicalJson(z.object({ city: z.string() }))
    expect(text).toContain('"city":{"type":"string"}')
    expect(text).not.toBe(canonicalJson(z.object({ town: z.string() })))
  })

  it("refuses cycles and functions", () => {
    expect(canonicalJson(cycle())).toBeUndefined()
    expect(canonicalJson({ call: () => 1 })).toBeUndefined()
  })
})

function cycle(): unknown {
  const loop: Record<string, unknown> = {}
  loop["self"] = { loop }
  return loop
}

/** The same data with the keys of every object the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, one]) => [name, reversed(one)]),
  )
}
