import { AIMessage, AIMessageChunk, HumanMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { readFeatures } from "../features/read-features.ts"
import type { Piece } from "../langchain/piece.ts"
import { ratesOf } from "../pricing/rates.ts"
import { nanoUsd } from "../spec/money.ts"
import { estimateTokens } from "../tokens/estimate-tokens.ts"
import { meterAnswer } from "./meter-answer.ts"

const rates = ratesOf({ inputPerMTok: 1, outputPerMTok: 10 }, "p")
const { features } = readFeatures({ messages: [new HumanMessage("Tell me about the lighthouse")] })
const { inputTokens } = features
const quote = { money: nanoUsd(1_234_567), tokens: 140 }
const said = (content: string): Piece => ({ message: new AIMessageChunk(content) })
const reporting = (input: number, output: number): Piece => ({
  message: Object.assign(new AIMessageChunk(""), {
    usage_metadata: { input_tokens: input, output_tokens: output, total_tokens: input + output },
  }),
})

function metered(...pieces: readonly Piece[]) {
  const meter = meterAnswer({ features, rates, quote, maxOutputTokens: 40 })
  for (const piece of pieces) meter.see(piece)
  return meter
}

describe("meterAnswer", () => {
  it("bills what the provider reported, over all pieces, whatever the words would count as", () => {
    const pieces = [reporting(100, 1), said("word ".repeat(50)), reporting(0, 6)]
    const { usage, cost } = metered(...pieces).read("answered", false)
    expect(usage).toMatchObject({ inputTokens: 100, outputTokens: 7, estimated: false })
    expect(cost).toBe(100 * 1_000 + 7 * 10_000)
  })

  it("books no total that a call with this cap cannot have had", () => {
    const totalling = (total_tokens: number): Piece => ({
      message: Object.assign(new AIMessageChunk("Hi"), {
        usage_metadata: { input_tokens: 100, output_tokens: 5, total_tokens },
      }),
    })
    expect(metered(totalling(90_000_000)).read("answered", false)).toMatchObject({
      usage: { outputTokens: 5, estimated: true },
      cost: 100 * 1_000 + 5 * 10_000,
    })
    expect(metered(totalling(140)).read("answered", false)).toMatchObject({
      usage: { outputTokens: 40, estimated: false },
    })
  })

  it("counts the words itself where the provider reported nothing, and says so", () => {
    const outputTokens = estimateTokens("The light burns all night.")
    const { usage, cost } = metered(...["The light", " burns all", " night."].map(said)).read(
      "answered",
      false,
    )
    expect(usage).toMatchObject({ inputTokens, outputTokens, estimated: true })
    expect(outputTokens).toBeGreaterThan(3)
    expect(cost).toBe(inputTokens * 1_000 + outputTokens * 10_000)
  })

  it("counts the tool calls that were seen, and what marks them as such", () => {
    const call = { id: "1", name: "get_weather", args: { city: "Rome" } }
    const outputTokens = estimateTokens('get_weather{"city":"Rome"}') + 4
    const piece: Piece = { message: new AIMessage({ content: "", tool_calls: [call] }) }
    expect(metered(piece).read("answered", false).usage).toMatchObject({ outputTokens, estimated: true })
  })

  it("counts the answers that LangChain does not show of several whole ones, but not those of a stream twice", () => {
    const several = { features, rates, quote, maxOutputTokens: 40, completions: 3 }
    const words = "The light burns."
    const whole = meterAnswer(several)
    whole.see({ message: new AIMessage(words) })
    const outputTokens = 3 * estimateTokens(words)
    expect(whole.read("answered", false).usage).toMatchObject({ outputTokens, estimated: true })
    const streamed = meterAnswer(several)
    for (let choice = 0; choice < 3; choice++) streamed.see(said(`${words} `))
    const seen = estimateTokens(`${words} `.repeat(3))
    expect(streamed.read("answered", false).usage).toMatchObject({ outputTokens: seen, estimated: true })
  })

  it("counts itself the half that a provider left out, and says so", () => {
    const outputTokens = estimateTokens("The light burns all night.")
    // Ollama leaves out a prompt it had in memory; a prompt of nothing there is not.
    expect(metered(reporting(0, 7)).read("answered", false).usage).toMatchObject({
      inputTokens,
      outputTokens: 7,
      estimated: true,
    })
    expect(
      metered(said("The light burns all night."), reporting(9, 0)).read("answered", false).usage,
    ).toMatchObject({
      inputTokens: 9,
      outputTokens,
      estimated: true,
    })
  })

  it("books pictures that nobody counted at their bound", () => {
    const meter = meterAnswer({ features: { ...features, images: 1 }, rates, quote, maxOutputTokens: 40 })
    meter.see(said("A lighthouse."))
    expect(meter.read("answered", false).usage).toMatchObject({ inputTokens: 100, estimated: true })
  })

  it("books the quote for a report beyond what money can count", () => {
    const dear = ratesOf({ inputPerMTok: 100_000, outputPerMTok: 100_000 }, "p")
    const meter = meterAnswer({ features, rates: dear, quote, maxOutputTokens: 40 })
    meter.see(reporting(90_000_000, 1))
    expect(meter.read("answered", false)).toMatchObject({ cost: quote.money, usage: { estimated: true } })
  })

  it("bills what Anthropic's last event says, not what its events add up to", () => {
    const start: Piece = {
      message: Object.assign(new AIMessageChunk(""), {
        usage_metadata: { input_tokens: 25, output_tokens: 1, total_tokens: 26 },
        response_metadata: { model_provider: "anthropic", usage: {} },
      }),
    }
    const pieces = [start, said("Hello!"), reporting(0, 15)]
    expect(metered(...pieces).read("answered", false).usage).toMatchObject({
      inputTokens: 25,
      outputTokens: 15,
      estimated: false,
    })
  })

  it("counts no more words than the output cap lets through", () => {
    expect(metered(said("word ".repeat(500))).read("answered", false).usage?.outputTokens).toBe(40)
  })

  it("is free for a call that nobody can have billed", () => {
    expect(metered().read("failed", false)).toEqual({ usage: undefined, cost: 0 })
  })

  it("books the whole quote for a call that was sent and died in silence", () => {
    expect(metered().read("failed", true)).toMatchObject({
      usage: { inputTokens: 100, outputTokens: 40, estimated: true },
      cost: quote.money,
    })
  })

  it("books the whole quote for an answer whose words the model's package threw away", () => {
    const lost: Piece = { message: new AIMessage(""), parseError: "no JSON", unseen: true }
    expect(metered(lost).read("answered", false)).toMatchObject({
      usage: { inputTokens: 100, outputTokens: 40, estimated: true },
      cost: quote.money,
    })
  })

  it("bills the words of a stream that broke before anything was reported", () => {
    const outputTokens = estimateTokens("The light burns")
    expect(metered(said("The light burns")).read("failed", true)).toMatchObject({
      usage: { inputTokens, outputTokens, estimated: true },
      cost: inputTokens * 1_000 + outputTokens * 10_000,
    })
  })

  it("bills the words of a stream that broke after its input was reported, which is what providers report first", () => {
    const words = "The light burns all night, and the keeper sleeps."
    const outputTokens = estimateTokens(words)
    expect(metered(reporting(100, 1), said(words)).read("failed", true)).toMatchObject({
      usage: { inputTokens: 100, outputTokens, estimated: true },
      cost: 100 * 1_000 + outputTokens * 10_000,
    })
    expect(metered(reporting(100, 30), said("Hi")).read("failed", true).usage?.outputTokens).toBe(30)
  })
})
