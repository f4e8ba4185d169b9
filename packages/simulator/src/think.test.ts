import { describe, expect, it } from "vitest"
import { DEFAULT_MODELS, type SimulatedModel, type Skill } from "./models.ts"
import type { ChatRequest, ToolDefinition } from "./protocol.ts"
import type { Reply } from "./skills/family.ts"
import { think } from "./think.ts"

const [SMALL, , LARGE] = DEFAULT_MODELS as [SimulatedModel, SimulatedModel, SimulatedModel]

function asked(content: string, more: Partial<ChatRequest> = {}, model: SimulatedModel = LARGE): Reply {
  return think({ model: model.id, messages: [{ role: "user", content }], ...more }, model, { seed: 1 })
}

function textOf(reply: Reply): string {
  return reply.kind === "text" ? reply.text : JSON.stringify(reply.calls)
}

function tool(name: string, description: string, properties: Record<string, object>): ToolDefinition {
  const parameters = { type: "object", properties: properties as never, required: Object.keys(properties) }
  return { type: "function", function: { name, description, parameters } }
}

const WEATHER = tool("get_weather", "Get the weather", { location: { type: "string" } })
const MULTIPLY = tool("multiply", "Multiply two numbers", { a: { type: "number" }, b: { type: "number" } })

describe("think", () => {
  it("computes a formula with brackets and precedence", () => {
    expect(textOf(asked("What is (3 + 4) * 2 - 10 / 5?"))).toMatch(/The answer is 12\.$/)
  })

  it("loses the steps that a small model cannot carry and still sounds like an answer", () => {
    const riddle =
      "Take 20, add 9, double it, subtract 8, triple it, add 5, divide by 5, add 11. What do you get?"
    expect(textOf(asked(riddle))).toContain("The answer is 42.")
    const wrong = textOf(asked(riddle, {}, SMALL))
    expect(wrong).toMatch(/The answer is -?[\d.]+\.$/)
    expect(wrong).not.toContain("The answer is 42.")
  })

  it("leaves a lost step out or does it with another sign", () => {
    const forgetful = { ...SMALL, skill: { ...(SMALL.skill as Skill), steps: 0, slip: 1 } }
    const answers = Array.from({ length: 20 }, (_, index) => {
      const text = textOf(asked(`Take ${50 + index}, add 7. What do you get?`, {}, forgetful))
      return Number(/The answer is (\d+)/.exec(text)?.[1]) - 50 - index
    })
    expect(new Set(answers)).toEqual(new Set([0, -7]))
  })

  it("answers with the person on the way where a hop is lost", () => {
    const facts = "Ann's boss is Bo. Bo's coach is Cy. Cy's uncle is Di. Di's tutor is Ed. "
    const question = "Who is the tutor of the uncle of the coach of the boss of Ann?"
    expect(textOf(asked(facts + question))).toMatch(/it is Ed\.$/)
    expect(textOf(asked(facts + question, {}, SMALL))).toMatch(/it is (?:Bo|Cy)\.$/i)
  })

  it("reads an answer out of a document it was given earlier", () => {
    const messages = [
      { role: "system", content: "The pool closes at 21:30. The sauna in the basement closes at 20:00." },
      { role: "user", content: "When does the pool close?" },
    ] as const
    expect(textOf(think({ model: "any", messages }, LARGE, { seed: 1 }))).toBe("The pool closes at 21:30.")
  })

  it("calls a tool once for each place that is asked about", () => {
    const reply = asked("What is the weather in Paris, Rome and Lima?", { tools: [MULTIPLY, WEATHER] })
    expect(reply).toEqual({
      kind: "calls",
      calls: ["Paris", "Rome", "Lima"].map((location) => ({ name: "get_weather", arguments: { location } })),
    })
  })

  it("gives numbers to a tool in the order they were said", () => {
    const reply = asked("Multiply 12 by 7.5", { tools: [MULTIPLY, WEATHER] })
    expect(reply).toEqual({ kind: "calls", calls: [{ name: "multiply", arguments: { a: 12, b: 7.5 } }] })
  })

  it("calls no tool for small talk, nor when told not to, but does when it must", () => {
    expect(asked("Hello", { tools: [WEATHER] }).kind).toBe("text")
    expect(asked("Weather in Oslo?", { tools: [WEATHER], tool_choice: "none" }).kind).toBe("text")
    expect(asked("Hello", { tools: [WEATHER], tool_choice: "required" }).kind).toBe("calls")
    const forced = { type: "function", function: { name: "multiply" } } as const
    const reply = asked("The weather for 3 and 4 in Oslo", {
      tools: [WEATHER, MULTIPLY],
      tool_choice: forced,
    })
    expect(reply).toEqual({ kind: "calls", calls: [{ name: "multiply", arguments: { a: 3, b: 4 } }] })
  })

  it("answers from what the tools returned", () => {
    const reply = think(
      {
        model: "any",
        tools: [WEATHER],
        messages: [
          { role: "user", content: "What is the weather in Oslo?" },
          {
            role: "assistant",
            content: null,
            tool_calls: [wireCall("c1", "get_weather", { location: "Oslo" })],
          },
          { role: "tool", tool_call_id: "c1", content: '{"sky":"overcast","temperature":7}' },
        ],
      },
      LARGE,
      { seed: 1 },
    )
    expect(textOf(reply)).toContain("sky overcast, temperature 7")
  })

  it("makes one call at a time if it may not make several, and goes on with the next", () => {
    const request = { model: "any", tools: [WEATHER], parallel_tool_calls: false } as const
    const question = { role: "user", content: "What is the weather in Oslo and Rome?" } as const
    const first = think({ ...request, messages: [question] }, LARGE, { seed: 1 })
    expect(first).toEqual({
      kind: "calls",
      calls: [{ name: "get_weather", arguments: { location: "Oslo" } }],
    })
    const messages = [
      question,
      { role: "assistant", tool_calls: [wireCall("c1", "get_weather", { location: "Oslo" })] },
      { role: "tool", tool_call_id: "c1", content: "7 degrees" },
    ] as const
    const second = think({ ...request, messages }, LARGE, { seed: 1 })
    expect(second).toEqual({
      kind: "calls",
      calls: [{ name: "get_weather", arguments: { location: "Rome" } }],
    })
  })

  it("fills in a schema it has never seen, also when the value must be worked out", () => {
    const schema = {
      type: "object",
      properties: { reasoning: { type: ["string", "null"] }, answer: { type: "integer" } },
      required: ["reasoning", "answer"],
    }
    const format = { type: "json_schema", json_schema: { name: "sum", schema } } as const
    const reply = asked("What is 17 * 3?", { response_format: format })
    expect(JSON.parse(textOf(reply))).toMatchObject({ answer: 51 })
  })

  it("finds values that no label names by what they look like", () => {
    const properties = { name: { type: "string" }, age: { type: "integer" }, city: { type: "string" } }
    const schema = { type: "object", properties, required: ["name", "age", "city"] }
    const format = { type: "json_schema", json_schema: { name: "person", schema } } as const
    const reply = asked("Extract the person: Ada Lund is 34 years old and lives in Oslo.", {
      response_format: format,
    })
    expect(JSON.parse(textOf(reply))).toEqual({ name: "Ada Lund", age: 34, city: "Oslo" })
    const keys = 'Extract as JSON "name", "age", "city": Ada Lund is 34 years old and lives in Oslo.'
    const free = asked(keys, { response_format: { type: "json_object" } })
    expect(JSON.parse(textOf(free))).toEqual({ name: "Ada Lund", age: 34, city: "Oslo" })
  })

  it("names the keys of plain JSON mode that the prompt asks for", () => {
    const reply = asked('Return JSON with "name" and "city". The name is Ada Lund; the city is Oslo.', {
      response_format: { type: "json_object" },
    })
    expect(JSON.parse(textOf(reply))).toEqual({ name: "Ada Lund", city: "Oslo" })
  })

  it("hedges and stays short where an open question looks like more than it can do", () => {
    const question =
      "Analyze the security risks of a zero-trust architecture, compare it with VPNs, and justify a design."
    const weak = textOf(asked(question, {}, SMALL))
    const strong = textOf(asked(question))
    expect(weak).toMatch(/not sure|don't know|hard to say|cannot say/)
    expect(strong).not.toMatch(/not sure|don't know|hard to say|cannot say/)
    expect(strong.length).toBeGreaterThan(3 * weak.length)
  })

  it("gives the same answer to every sample at temperature 0 and different ones above", () => {
    const ask = (choice: number, temperature: number): string =>
      textOf(
        think(
          { model: "any", temperature, messages: [{ role: "user", content: "Write 60 words about bread." }] },
          LARGE,
          { seed: 1, choice },
        ),
      )
    expect(ask(1, 0)).toBe(ask(0, 0))
    expect(ask(1, 1)).not.toBe(ask(0, 1))
  })

  it("reads half a megabyte of anything without getting stuck", () => {
    for (const noise of ["A ", "the manager of ", "2026-01-01 ", "(", "in Oslo, ", "a@b."]) {
      const started = performance.now()
      asked(`${noise.repeat(500_000 / noise.length)}\nWhat is the weather?`, { tools: [WEATHER] })
      expect(performance.now() - started, noise).toBeLessThan(3_000)
    }
  })
})

function wireCall(
  id: string,
  name: string,
  given: object,
): { id: string; type: "function"; function: { name: string; arguments: string } } {
  return { id, type: "function", function: { name, arguments: JSON.stringify(given) } }
}
