import { AIMessage, AIMessageChunk } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { joinPieces } from "./call-in-order.ts"

const piece = (text: string) => ({ message: new AIMessageChunk(text) })

describe("joinPieces", () => {
  it("joins the words of a stream, and leaves a whole answer as it is", () => {
    expect(joinPieces([piece("Hel"), piece("lo")]).message.text).toBe("Hello")
    const whole = { message: new AIMessage("Hello"), parsed: { n: 1 }, conforms: true }
    expect(joinPieces([whole])).toBe(whole)
  })

  it("keeps the words of a stream that ends in what does not parse, and says that it does not", () => {
    const joined = joinPieces([piece("{ no"), piece(" JSON"), { ...piece(""), parseError: "no JSON" }])
    expect(joined).toMatchObject({ message: { content: "{ no JSON" }, parseError: "no JSON" })
  })
})
