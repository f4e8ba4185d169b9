import { AIMessage, type AIMessageFields } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { ratesOf } from "../pricing/rates.ts"
import { ConfigError } from "../spec/errors.ts"
import { unmetered } from "./unmetered.ts"

const usage_metadata = { input_tokens: 10, output_tokens: 5, total_tokens: 15 }
// LangChain declares `usage_metadata` as undefined under strict compiler options.
const message = (fields: object) =>
  new AIMessage({ content: "Hi", usage_metadata, ...fields } as AIMessageFields)
const plain = message({})
const routed = message({ response_metadata: { tierwise: { id: "r-1", costUsd: 0.000_002 } } })
const rates = ratesOf({ inputPerMTok: 1, outputPerMTok: 2 }, "price")
const held = {
  watch: { answered: new Set(["r-1"]), refused: undefined },
  rates: undefined,
  limitsMoney: true,
}
const past = { ...held, watch: { answered: new Set<string>(), refused: undefined } }

describe("unmetered", () => {
  it("finds nothing past a routed answer that was held for", () => {
    expect(unmetered({ answer: routed, ...held })).toBeUndefined()
  })

  it("finds nothing past an answer that was held for and rewritten on its way", () => {
    expect(unmetered({ answer: plain, ...held, rates })).toBeUndefined()
    expect(unmetered({ answer: plain, ...held })).toBeUndefined()
  })

  it("does not take the hold of another answer for this one's", () => {
    const watch = { answered: new Set(["r-2"]), refused: undefined }
    expect(unmetered({ answer: routed, ...held, watch })).toEqual({ money: 2_000, tokens: 15 })
  })

  it("takes the cost of another router's answer from its own metadata", () => {
    expect(unmetered({ answer: routed, ...past })).toEqual({ money: 2_000, tokens: 15 })
  })

  it("prices a plain model's answer, also inside a structured response", () => {
    const cost = { money: 20_000, tokens: 15 }
    expect(unmetered({ answer: plain, ...past, rates })).toEqual(cost)
    const structured = { structuredResponse: {}, messages: [plain] }
    expect(unmetered({ answer: structured, ...past, rates })).toEqual(cost)
  })

  it("counts tokens alone where money is not limited", () => {
    expect(unmetered({ answer: plain, ...past, limitsMoney: false })).toEqual({ money: 0, tokens: 15 })
  })

  it("refuses to guess a price, and names the order that helps", () => {
    expect(() => unmetered({ answer: plain, ...past })).toThrow(ConfigError)
  })

  it("books nothing for a message that no model has made", () => {
    expect(unmetered({ answer: new AIMessage("The call failed."), ...past })).toBeUndefined()
  })
})
