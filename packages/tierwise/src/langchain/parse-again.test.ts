import { AIMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import * as z3 from "zod/v3"
import { parseAgain } from "./parse-again.ts"

const SHOUT = (city: string) => city.toUpperCase()
const ROME = new AIMessage('{"city":"Rome"}')

/** A schema of no library we know, in the form they have agreed on. */
const standard = {
  "~standard": {
    version: 1,
    vendor: "ours",
    validate: async (value: unknown) => {
      const { city } = value as { readonly city?: unknown }
      return typeof city === "string"
        ? { value: { city: SHOUT(city) } }
        : { issues: [{ message: "no city" }] }
    },
    jsonSchema: { input: () => ({ type: "object" }), output: () => ({ type: "object" }) },
  },
}

describe("parseAgain", () => {
  it("leaves an answer alone that was asked for without a schema", async () => {
    expect(await parseAgain(ROME, undefined, undefined)).toEqual({ message: ROME })
  })

  it.each([
    ["zod", z.object({ city: z.string().transform(SHOUT) })],
    ["zod of the version before", z3.object({ city: z3.string().transform(SHOUT) })],
    ["a standard schema", standard],
  ])(
    "makes of the words what %s makes of them, or nothing where they no longer follow it",
    async (_, schema) => {
      const structured = { schema, config: {} }
      expect(await parseAgain(ROME, structured, "extract")).toEqual({
        message: ROME,
        parsed: { city: "ROME" },
        conforms: true,
      })
      expect(await parseAgain(new AIMessage('{"city":7}'), structured, "extract")).toBeUndefined()
    },
  )

  it("takes the words as they are under a JSON Schema, also from within a fence", async () => {
    const structured = { schema: { type: "object" }, config: {} }
    for (const words of ['{"n":1}', '```json\n{"n":1}\n```', ' ```\n{"n":1}```\n']) {
      expect(await parseAgain(new AIMessage(words), structured, "extract")).toMatchObject({
        parsed: { n: 1 },
      })
    }
  })

  it("reads the call of the schema's tool, and neither another call nor the words beside it", async () => {
    const called = new AIMessage({
      content: '{"city":"Paris"}',
      tool_calls: [
        { id: "1", name: "look_up", args: { city: "Paris" } },
        { id: "2", name: "extract", args: { city: "Rome" } },
      ],
    })
    const structured = { schema: { type: "object" }, config: {} }
    expect(await parseAgain(called, structured, "extract")).toMatchObject({ parsed: { city: "Rome" } })
    expect(await parseAgain(called, structured, "other")).toBeUndefined()
  })

  it("is nothing where the words are no JSON, or say null", async () => {
    const structured = { schema: { type: "object" }, config: {} }
    expect(await parseAgain(new AIMessage("Rome"), structured, "extract")).toBeUndefined()
    expect(await parseAgain(new AIMessage("null"), structured, "extract")).toBeUndefined()
  })
})
