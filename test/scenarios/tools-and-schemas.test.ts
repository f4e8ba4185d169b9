import { HumanMessage, ToolMessage } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { describe, expect, expectTypeOf, it } from "vitest"
import { z } from "zod"
import { openWorld, replyMetadata } from "./world.ts"

const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
  name: "get_weather",
  description: "Current weather of a city",
  schema: z.object({ city: z.string().describe("Name of the city") }),
})
const person = z.object({ name: z.string(), age: z.number().int() })
const QUESTION = "What is the weather in Rome?"
const EXTRACT = "Turn this note into a record.\n\nName: Ada. Put down 36 as the age."

describe("tools", () => {
  it("stay raw until the deployment is known, then travel in its own form, and back [L1.bind-tools]", async () => {
    await using world = await openWorld()
    const model = world.router.bindTools([weather])
    const asked = await model.invoke(QUESTION)
    expect(asked.tool_calls).toMatchObject([{ name: "get_weather", args: { city: "Rome" } }])
    expect(world.bodies()[0]?.["tools"]).toMatchObject([
      {
        type: "function",
        function: { name: "get_weather", parameters: { type: "object", required: ["city"] } },
      },
    ])
    const result = new ToolMessage({ content: "21 °C", tool_call_id: asked.tool_calls?.[0]?.id ?? "" })
    const answer = await model.invoke([new HumanMessage(QUESTION), asked, result])
    expect(answer.text).toContain("21")
    expect(world.records[1]?.plan.features).toMatchObject({ toolsOffered: 1, toolResultsPending: true })
  })

  it("pass the tool choice in the provider's form", async () => {
    await using world = await openWorld()
    await world.router.bindTools([weather], { tool_choice: "get_weather" }).invoke(QUESTION)
    expect(world.bodies()[0]?.["tool_choice"]).toEqual({
      type: "function",
      function: { name: "get_weather" },
    })
  })

  it("are never sent as an empty list", async () => {
    await using world = await openWorld()
    await world.router.bindTools([]).invoke("Hello")
    expect(world.bodies()[0]).not.toHaveProperty("tools")
  })

  it("leave the router they were bound to as it was", async () => {
    await using world = await openWorld()
    world.router.bindTools([weather])
    await world.router.invoke("Hello")
    expect(world.bodies()[0]).not.toHaveProperty("tools")
  })
})

describe("answers under a schema", () => {
  it("come parsed, through the deployment's own way [L1.with-structured-output]", async () => {
    await using world = await openWorld()
    const parsed = await world.router.withStructuredOutput(person).invoke(EXTRACT)
    expect(parsed).toEqual({ name: "Ada", age: 36 })
    expect(world.records[0]?.plan.features.wantsSchema).toBe(true)
  })

  it("are typed by their schema", async () => {
    await using world = await openWorld()
    const transformed = z.object({ n: z.string().transform(Number) })
    const parsed = await world.router.withStructuredOutput(person).invoke(EXTRACT)
    expectTypeOf(parsed).toEqualTypeOf<{ name: string; age: number }>()
    const chain = world.router.withStructuredOutput(transformed)
    expectTypeOf<Awaited<ReturnType<typeof chain.invoke>>>().toEqualTypeOf<{ n: number }>()
    const both = await world.router.withStructuredOutput(person, { includeRaw: true }).invoke(EXTRACT)
    expectTypeOf(both.parsed).toEqualTypeOf<{ name: string; age: number }>()
  })

  it("bring the raw reply along if asked", async () => {
    await using world = await openWorld()
    const { raw, parsed } = await world.router
      .withStructuredOutput(person, { includeRaw: true })
      .invoke(EXTRACT)
    expect(parsed).toEqual({ name: "Ada", age: 36 })
    expect(replyMetadata(raw).deployment).toBe("sim-small")
  })

  it("escalate when they do not parse, and the poor one is paid for too", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", answer: '{"name": "Ada", "age":' }])
    const parsed = await world.router.withStructuredOutput(person, { method: "jsonSchema" }).invoke(EXTRACT)
    expect(parsed).toEqual({ name: "Ada", age: 36 })
    expect(world.records[0]?.decisions.map(({ tier }) => tier)).toEqual(["light", "standard"])
    expect(world.records[0]?.attempts[0]).toMatchObject({ outcome: "answered", usage: { estimated: true } })
  })

  it("escalate when they parse but break the schema", async () => {
    await using world = await openWorld()
    world.simulator.script([{ model: "sim-small", answer: '{"name": "Ada", "age": "thirty-six"}' }])
    const parsed = await world.router.withStructuredOutput(person, { method: "jsonSchema" }).invoke(EXTRACT)
    expect(parsed).toEqual({ name: "Ada", age: 36 })
    expect(world.records[0]?.verdicts[0]?.verdict.accepted).toBe(false)
  })

  it("throw what a chat model throws when nobody could, or say so with includeRaw", async () => {
    await using world = await openWorld()
    world.simulator.script([{ answer: "no JSON today", times: 6 }])
    const options = { method: "jsonSchema" }
    await expect(world.router.withStructuredOutput(person, options).invoke(EXTRACT)).rejects.toMatchObject({
      lc_error_code: "OUTPUT_PARSING_FAILURE",
    })
    const both = await world.router
      .withStructuredOutput(person, { ...options, includeRaw: true })
      .invoke(EXTRACT)
    expect(both.parsed).toBeNull()
  })
})
