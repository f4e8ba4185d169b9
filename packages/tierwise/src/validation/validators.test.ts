import { AIMessage, HumanMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import type { RouteRequest } from "../spec/request.ts"
import type { Answer, ResponseValidator } from "../spec/validation.ts"
import { validatorContract } from "../testing/validator-contract.ts"
import { allOf } from "./all-of.ts"
import { lowConfidence } from "./low-confidence.ts"
import { matchesSchema } from "./matches-schema.ts"
import { notEmpty } from "./not-empty.ts"

const asks = (text: string, more: Partial<RouteRequest> = {}): RouteRequest => ({
  messages: [new HumanMessage(text)],
  ...more,
})
const says = (content: string, more: Partial<Answer> = {}): Answer => ({
  message: new AIMessage(content),
  ...more,
})
const calls: Answer = {
  message: new AIMessage({ content: "", tool_calls: [{ id: "1", name: "f", args: {} }] }),
}
const longQuestion =
  "Explain in detail how the garbage collector of a generational virtual machine decides what to move and when it does so"

const validators: readonly ResponseValidator[] = [
  notEmpty(),
  lowConfidence(),
  matchesSchema(),
  allOf(notEmpty()),
]
describe.each(validators.map((validator) => [validator.name, validator] as const))(
  "%s keeps the contract",
  (_, validator) => {
    for (const { name, run } of validatorContract(validator))
      it(name, () => expect(run()).resolves.toBeUndefined())
  },
)

describe("notEmpty", () => {
  it("rejects white space, but not a tool call", async () => {
    expect(await notEmpty().validate(says(" \n"), asks("Hi"))).toMatchObject({ accepted: false })
    expect(await notEmpty().validate(calls, asks("Hi"))).toMatchObject({ accepted: true })
  })
})

describe("lowConfidence", () => {
  const accepts = async (answer: Answer, request: RouteRequest, validator = lowConfidence()) =>
    (await validator.validate(answer, request)).accepted

  it.each(["I'm not sure, maybe 12.", "It is 12. I MIGHT BE WRONG though.", "I don\u2019t know."])(
    "rejects %j for its hedge [C3.escalate-uncertain]",
    async (text) => expect(await accepts(says(text), asks("How many?"))).toBe(false),
  )

  it("rejects an answer too short for a long question [C3.escalate-short]", async () => {
    expect(await accepts(says("By age."), asks(longQuestion))).toBe(false)
    expect(await accepts(says("It copies what survived the nursery."), asks(longQuestion))).toBe(true)
  })

  it("lets a short question have a short answer, and a sum its number", async () => {
    expect(await accepts(says("Rome."), asks("What is the capital of Italy?"))).toBe(true)
    expect(await accepts(says("$1,234.50"), asks(longQuestion))).toBe(true)
    expect(await accepts(says("42 apples"), asks(longQuestion))).toBe(true)
  })

  it("does not take a pasted page, or a label that was asked for, for a reason to write much", async () => {
    const page = "The tide came in and the tide went out again before noon. ".repeat(100)
    expect(await accepts(says("At noon."), asks(`${page}\n\nWhen?`))).toBe(true)
    expect(await accepts(says("It went out again well before noon, that day."), asks(page))).toBe(true)
    expect(await accepts(says("refund"), asks(longQuestion, { taskType: "intent_classification" }))).toBe(
      true,
    )
  })

  it("lets tool calls and answers under a schema be short", async () => {
    const format = { responseFormat: { name: "x", schema: {} } }
    expect(await accepts(calls, asks(longQuestion))).toBe(true)
    expect(await accepts(says('{"a":1}'), asks(longQuestion, format))).toBe(true)
  })

  it("takes twelve words for a long question, and the last human turn for the question", async () => {
    const eleven = "Which of the old towns on that coast has a lighthouse?"
    const twelve = `So ${eleven}`
    expect(await accepts(says("Rome."), asks(eleven))).toBe(true)
    expect(await accepts(says("Rome."), asks(twelve))).toBe(false)
    const turns = (...texts: readonly string[]) => ({
      messages: texts.flatMap((text) => [new HumanMessage(text), new AIMessage("So it is.")]),
    })
    expect(await accepts(says("Rome."), turns(twelve, "Which town?"))).toBe(true)
    expect(await accepts(says("Rome."), turns("Hello", twelve))).toBe(false)
  })

  it("hears a hedge at either end of a long answer", async () => {
    const long = "The keeper climbs the stairs. ".repeat(300)
    expect(await accepts(says(`${long} I might be wrong.`), asks("Hi"))).toBe(false)
    expect(await accepts(says(`I'm not sure. ${long}`), asks("Hi"))).toBe(false)
    expect(await accepts(says(long), asks("Hi"))).toBe(true)
  })

  it("can be told what is a long question and which tasks have short answers", async () => {
    const eager = lowConfidence({ longQuestionWords: 3, answerPerQuestionWord: 1 })
    expect(await accepts(says("At noon."), asks("When is it?"), eager)).toBe(false)
    const wordy = "Tell me when the tide comes in. ".repeat(30)
    expect(await accepts(says("At noon, or so they say, my dear."), asks(wordy))).toBe(false)
    const capped = lowConfidence({ mostQuestionWords: 20 })
    expect(await accepts(says("At noon, or so they say, my dear."), asks(wordy), capped)).toBe(true)
    const mine = lowConfidence({ shortAnswerTasks: ["triage"] })
    expect(await accepts(says("refund"), asks(longQuestion, { taskType: "triage" }), mine)).toBe(true)
    expect(await accepts(says("refund"), asks(longQuestion, { taskType: "simple_qa" }), mine)).toBe(false)
  })

  it("can be tuned", async () => {
    const lenient = lowConfidence({ phrases: ["no idea"], answerPerQuestionWord: 0 })
    expect(await accepts(says("I'm not sure."), asks("Hi"), lenient)).toBe(true)
    expect(await accepts(says("No idea."), asks("Hi"), lenient)).toBe(false)
    expect(await accepts(says("By age."), asks(longQuestion), lenient)).toBe(true)
  })
})

describe("matchesSchema", () => {
  const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }
  const asked = asks("…", { responseFormat: { name: "x", schema } })
  const verdict = (answer: Answer, request = asked) => matchesSchema().validate(answer, request)

  it("judges by the schema the request asks for", async () => {
    expect(await verdict(says('{"n":1}'))).toEqual({ accepted: true })
    expect(await verdict(says('{"n":"one"}'))).toMatchObject({
      accepted: false,
      reason: expect.stringContaining("#/n"),
    })
    expect(await verdict(says("{}"))).toMatchObject({ accepted: false })
    expect(await verdict(says("n is 1"))).toMatchObject({ accepted: false, reason: "the answer is not JSON" })
  })

  it("takes the parsed value, or the parse error, where the call brought one", async () => {
    expect(await verdict(says("", { parsed: { n: 1 } }))).toEqual({ accepted: true })
    expect(await verdict(says("", { parsed: { n: 1.5 } }))).toMatchObject({ accepted: false })
    expect(await verdict(says("{", { parseError: "no" }))).toMatchObject({ accepted: false, reason: "no" })
  })

  it("accepts what nobody asked to be structured, and tool calls on the way to an answer", async () => {
    expect(await verdict(says("free text"), asks("Hi"))).toEqual({ accepted: true })
    expect(await verdict(calls)).toEqual({ accepted: true })
  })

  it("judges an answer that came through a tool call by what it holds", async () => {
    expect(await verdict({ ...calls, parsed: { n: 1 } })).toEqual({ accepted: true })
    expect(await verdict({ ...calls, parsed: { n: "one" } })).toMatchObject({ accepted: false })
  })

  it("can be given a schema of its own", async () => {
    expect((await matchesSchema(schema).validate(says('{"n":true}'), asks("Hi"))).accepted).toBe(false)
    const conforming = says("", { parsed: { n: "one" }, conforms: true })
    expect((await matchesSchema(schema).validate(conforming, asks("Hi"))).accepted).toBe(false)
    expect(await verdict(conforming)).toEqual({ accepted: true })
    const other = asks("…", { responseFormat: { name: "x", schema: { type: "string" } } })
    expect((await matchesSchema(schema).validate(says('{"n":1}'), other)).accepted).toBe(true)
  })
})

describe("allOf", () => {
  it("stops at the first rejection and says whose it was", async () => {
    const asked: string[] = []
    const note = (name: string, accepted: boolean): ResponseValidator => ({
      name,
      validate: () => {
        asked.push(name)
        return accepted ? { accepted } : { accepted, reason: "no", score: 0.2 }
      },
    })
    const both = allOf(note("a", true), note("b", false), note("c", true))
    expect(both.name).toBe("a + b + c")
    expect(await both.validate(says("x"), asks("y"))).toEqual({
      accepted: false,
      reason: "b: no",
      score: 0.2,
    })
    expect(asked).toEqual(["a", "b"])
  })
})
