import { describe, expect, it } from "vitest"
import { grade } from "./grade.ts"
import type { Reference } from "./skills/family.ts"

function judged(reference: Reference, content: string): boolean {
  return grade({ reference }, { content }).correct
}

describe("grade", () => {
  it("takes the last number for the answer", () => {
    const reference: Reference = { kind: "number", value: 1_250 }
    expect(judged(reference, "50 × 25 = 1250. The answer is 1,250.")).toBe(true)
    expect(judged(reference, "1250 would be too much, so it is 1240.")).toBe(false)
    expect(judged(reference, "I do not know.")).toBe(false)
  })

  it("wants the name in the last sentence, not on the way to it", () => {
    const reference: Reference = { kind: "text", value: "Bo Ek" }
    expect(judged(reference, "Ada's boss is Cy Falk. So it is Bo Ek.")).toBe(true)
    expect(judged(reference, "Ada's boss is Bo Ek. So it is Cy Falk.")).toBe(false)
  })

  it("takes a label alone or at the end, and no longer word that ends like it", () => {
    const reference: Reference = { kind: "label", value: "refund" }
    expect(judged(reference, "I might be wrong here. Refund.")).toBe(true)
    expect(judged(reference, "The label is refund")).toBe(true)
    expect(judged(reference, "no-refund")).toBe(false)
  })

  it("wants every record and none too many, as a table or as JSON", () => {
    const records = [
      { id: "A-1", city: "Oslo" },
      { id: "A-2", city: "Rome" },
    ]
    const reference: Reference = { kind: "records", records }
    expect(judged(reference, "A-1 | Oslo\nA-2 | Rome")).toBe(true)
    expect(judged(reference, JSON.stringify({ rows: records }))).toBe(true)
    expect(judged(reference, "A-1 | Oslo")).toBe(false)
    expect(judged(reference, "A-1 | Rome\nA-2 | Oslo")).toBe(false)
    expect(judged(reference, "A-1 | Oslo\nA-2 | Rome\nA-3 | Lima")).toBe(false)
  })

  it("wants an object that keeps the schema and has the values", () => {
    const schema = {
      type: "object",
      properties: { tier: { enum: ["very_high", "low"] }, parcels: { type: "integer" } },
      required: ["tier", "parcels"],
      additionalProperties: false,
    }
    const reference: Reference = { kind: "object", schema, value: { tier: "very_high", parcels: 2 } }
    expect(judged(reference, '{"parcels":2,"tier":"very_high"}')).toBe(true)
    expect(judged(reference, '{"parcels":2,"tier":"low"}')).toBe(false)
    expect(judged(reference, '{"parcels":2,"tier":"very high"}')).toBe(false)
    expect(judged(reference, '{"parcels":2}')).toBe(false)
    expect(judged(reference, '{"parcels":2,"tier":"very_')).toBe(false)
    expect(grade({ reference }, { content: '{"parcels":"2"}' }).reason).toMatch(/schema: .*'tier'.*integer/)
  })

  it("wants exactly the calls, in any order, in the wire's form or a client's", () => {
    const calls = [
      { name: "get_weather", arguments: { city: "Oslo" } },
      { name: "get_weather", arguments: { city: "Rome" } },
    ]
    const task = { reference: { kind: "tool-calls", calls } as const }
    const wire = { function: { name: "get_weather", arguments: '{"city":"Oslo"}' } }
    const rome = { name: "get_weather", args: { city: "Rome" } }
    expect(grade(task, { toolCalls: [rome, wire] }).correct).toBe(true)
    expect(grade(task, { toolCalls: [wire, wire] }).correct).toBe(false)
    expect(grade(task, { toolCalls: [wire, rome, rome] }).correct).toBe(false)
    expect(grade(task, { content: "The weather is fine." }).correct).toBe(false)
  })

  it("counts words where only the length is graded", () => {
    expect(judged({ kind: "length", words: 3 }, "one two three")).toBe(true)
    expect(judged({ kind: "length", words: 4 }, "one two three")).toBe(false)
  })
})
