import { BaseCallbackHandler } from "@langchain/core/callbacks/base"
import { AIMessage } from "@langchain/core/messages"
import { describe, expect, it } from "vitest"
import { RecalledModel } from "./recalled-model.ts"

const SAID = new AIMessage({ content: "Hi", response_metadata: { finish_reason: "stop" } })

class Listener extends BaseCallbackHandler {
  override readonly name = "listener"
  readonly heard: string[] = []

  constructor() {
    super({ _awaitHandler: true })
  }

  override handleLLMNewToken(token: string): void {
    this.heard.push(`token ${token}`)
  }

  override handleLLMEnd({ generations }: { readonly generations: readonly (readonly { text: string }[])[] }) {
    this.heard.push(`end ${generations[0]?.[0]?.text}`)
  }
}

describe("RecalledModel", () => {
  it("says the answer again, and its handlers hear the text of it", async () => {
    const listener = new Listener()
    const reply = await new RecalledModel(SAID).invoke("Hello", { callbacks: [listener] })
    expect(reply).toMatchObject({ content: "Hi", response_metadata: { finish_reason: "stop" } })
    expect(listener.heard).toEqual(["end Hi"])
  })

  it("streams it as one word, which token readers hear too", async () => {
    const listener = new Listener()
    const texts: string[] = []
    for await (const { text } of await new RecalledModel(SAID).stream("Hello", { callbacks: [listener] }))
      if (text !== "") texts.push(text)
    expect(texts).toEqual(["Hi"])
    expect(listener.heard).toEqual(["token Hi", "end Hi"])
  })
})
