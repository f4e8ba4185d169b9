import { AIMessage, AIMessageChunk, HumanMessage } from "@langchain/core/messages"
import type { LLMResult } from "@langchain/core/outputs"
import { describe, expect, it } from "vitest"
import { readFeatures } from "../features/read-features.ts"
import { quote } from "../pricing/quote.ts"
import { ratesOf } from "../pricing/rates.ts"
import { callGroupOf } from "./call-group.ts"
import { runMeter } from "./run-meter.ts"

const rates = ratesOf({ inputPerMTok: 1, outputPerMTok: 10 }, "price")
const { features } = readFeatures({ messages: [new HumanMessage("Hello")] })
const bound = { maxOutputTokens: 100, quoteInput: "upper-bound" } as const
const held = quote(features, rates, { ...bound, mediaTokens: { image: 1, audioClip: 1, file: 1 } })

const meter = (group = callGroupOf({})) =>
  runMeter({ features, rates, quote: held, maxOutputTokens: 100 }, group)

const usage = (input_tokens: number, output_tokens: number) => ({
  usage_metadata: { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens },
})
const said = (content: string, more: object = {}) => new AIMessage({ content, ...more })
const piece = (content: string, more: object = {}) => new AIMessageChunk({ content, ...more })
const result = (...messages: readonly AIMessage[]): LLMResult => ({
  generations: [messages.map((message) => ({ text: message.text, message }))],
})
/** NanoUsd. */
const cost = (input: number, output: number) => input * 1_000 + output * 10_000

describe("an ended run", () => {
  it("costs what was reported", () => {
    expect(meter().ended(result(said("Hi", usage(7, 3))))?.cost).toBe(cost(7, 3))
  })

  it("costs what the pieces come to, where their sum is too much", () => {
    const anthropic = { response_metadata: { model_provider: "anthropic" } }
    const counted = meter()
    counted.see(piece("", { ...usage(10, 1), ...anthropic }))
    counted.see(piece("Hi", anthropic))
    counted.see(piece("", usage(0, 40)))
    expect(counted.ended(result(said("Hi", usage(10, 41))))?.cost).toBe(cost(10, 40))
  })

  it("costs what the whole reports, where the pieces we were told of had not all of it", () => {
    const counted = meter()
    counted.see(piece("Hi", usage(10, 1)))
    expect(counted.ended(result(said("Hi", usage(10, 5))))?.cost).toBe(cost(10, 5))
  })

  it("costs once what is reported on each of several answers", () => {
    const three = result(said("a", usage(7, 9)), said("b", usage(7, 9)), said("c", usage(7, 9)))
    expect(meter().ended(three)?.cost).toBe(cost(7, 9))
  })

  it("costs what was said, where nothing was reported", () => {
    const spent = meter().ended(result(said("one two three four")))
    expect(spent).toMatchObject({ usage: { outputTokens: 4, estimated: true } })
  })

  it("costs the quote, where nothing was said or reported", () => {
    expect(meter().ended(result(said("")))?.cost).toBe(held.money)
    expect(meter().ended({ generations: [[]] })?.cost).toBe(held.money)
    expect(meter().ended({ generations: [[undefined]] } as never)?.cost).toBe(held.money)
    expect(meter().quoted()?.cost).toBe(held.money)
  })

  it("costs what is reported beside texts", () => {
    const llmOutput = { tokenUsage: { promptTokens: 7, completionTokens: 3 } }
    expect(meter().ended({ generations: [[{ text: "Hi" }]], llmOutput })?.cost).toBe(cost(7, 3))
  })

  it("costs nothing of its own, where another prompt of the same call has reported for it", () => {
    const group = callGroupOf({})
    const empty = { generations: [[{ text: "Hi" }]], llmOutput: { tokenUsage: {} } }
    expect(meter(group).ended(empty)?.usage.estimated).toBe(true)
    meter(group).ended(result(said("Hi", usage(7, 3))))
    expect(meter(group).ended(empty)).toBeUndefined()
  })
})

describe("a failed run", () => {
  const status = (code: number) => Object.assign(new Error(`status ${code}`), { status: code })
  const abort = Object.assign(new Error("Aborted"), { name: "AbortError" })

  it.each([400, 401, 404, 429, 500, 503])("costs nothing after a %i that no word came before", (code) => {
    expect(meter().failed(status(code), false)).toBeUndefined()
  })

  it.each<[string, Error, boolean]>([
    ["an abort", abort, false],
    ["whatever an aborted call throws", new Error("hm"), true],
    ["a time-out", status(504), false],
  ])("costs the quote after %s that no word came before", (_, error, callerAborted) => {
    expect(meter().failed(error, callerAborted)?.cost).toBe(held.money)
  })

  it("costs what was said, whatever broke it", () => {
    const counted = meter()
    counted.see(piece(""))
    counted.see(piece("one two three"))
    expect(counted.failed(status(500), false)).toMatchObject({ usage: { outputTokens: 3, estimated: true } })
  })

  it("costs what LangChain's error brings of the answer", () => {
    const error = Object.assign(abort, { partialOutput: piece("one two three") })
    expect(meter().failed(error, false)).toMatchObject({ usage: { outputTokens: 3 } })
  })
})
