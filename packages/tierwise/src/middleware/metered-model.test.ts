import { ChatOpenAI } from "@langchain/openai"
import { describe, expect, it } from "vitest"
import { MeteredModel } from "./metered-model.ts"

const model = new ChatOpenAI({ model: "gpt-4o-mini", apiKey: "none" })
const metered = new MeteredModel(model, { inputPerMTok: 1, outputPerMTok: 2 }, undefined)

describe("MeteredModel", () => {
  it("has the model's own name and profile, by which agents and middleware go, bound or not", () => {
    for (const one of [metered, metered.withConfig({ tags: ["a"] }), metered.bindTools([])]) {
      expect(one.getName()).toBe("ChatOpenAI")
      expect(one.profile).toEqual(model.profile)
    }
    expect(model.profile.maxInputTokens).toBe(128_000)
  })

  it("leaves nothing out for want of a known capability", async () => {
    const unknown = new MeteredModel(new ChatOpenAI({ model: "unheard-of", apiKey: "none" }), "free", 100)
    const image = { type: "image_url", image_url: { url: "https://example.com/a.png" } }
    const plan = await unknown.explain([
      { role: "user", content: [{ type: "text", text: "x ".repeat(20_000) }, image] },
    ])
    expect(plan.excluded).toEqual([])
    expect(plan.candidates).toMatchObject([{ maxOutputTokens: 100 }])
  })
})
