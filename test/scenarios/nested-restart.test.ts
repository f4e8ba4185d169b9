import type { BaseChatModel } from "@langchain/core/language_models/chat_models"
import { type Answer, FallbackChain, isRestart, RouterChatModel, type RouterChatModelFields } from "tierwise"
import { describe, expect, it } from "vitest"
import { deploymentOf, openWorld, type World } from "./world.ts"

const isWorld = (world: World) => {
  world.simulator.script([
    { model: "sim-small", answer: "The sea is sweet.", cutAfterChunks: 3 },
    { model: "sim-medium", answer: "It is salty." },
  ])
  return world
}

/** A router that begins anew. */
function innerOver({ simulator }: World): RouterChatModel {
  return new RouterChatModel({
    tiers: ["light", "standard"],
    deployments: [
      deploymentOf(simulator, "light", "sim-small"),
      deploymentOf(simulator, "standard", "sim-medium"),
    ],
    midStream: "restart",
    maxRetries: 0,
  })
}

/** The same as the only model of another one. */
function outerOver(world: World, options: Partial<RouterChatModelFields> = {}): RouterChatModel {
  return new RouterChatModel({
    tiers: ["only"],
    thresholds: [],
    deployments: [
      { tier: "only", model: innerOver(world), price: "free", profile: { maxInputTokens: 8_000 } },
    ],
    ...options,
  })
}

async function read(stream: AsyncIterable<{ text: string; response_metadata: Record<string, unknown> }>) {
  let text = ""
  for await (const chunk of stream) text = isRestart(chunk) ? "" : text + chunk.text
  return text
}

describe("an answer that was begun anew by a router among the models", () => {
  it.each(["off", "full"] as const)(
    "is judged without the words that came before (gate %s) [N5.mid-stream-policy]",
    async (gate) => {
      await using world = isWorld(await openWorld())
      const judged: string[] = []
      const validator = {
        name: "listens",
        validate: ({ message }: Answer) => {
          judged.push(message.text)
          return { accepted: true } as const
        },
      }
      expect(await read(await outerOver(world, { gate, validator }).stream("Hello"))).toBe("It is salty.")
      expect(judged).toEqual(["It is salty."])
    },
  )

  it("is what its run tells and what is remembered of it", async () => {
    await using world = isWorld(await openWorld())
    const outer = outerOver(world, { cache: true })
    const outputs: unknown[] = []
    const handler = { handleChainEnd: (output: unknown) => void outputs.push(output) }
    const question = `Hello ${crypto.randomUUID()}`
    expect(await read(await outer.stream(question, { callbacks: [handler] }))).toBe("It is salty.")
    expect(JSON.stringify(outputs)).not.toContain("sweet")
    expect(JSON.stringify(outputs.at(-1))).toContain("It is salty.")
    const again = await outer.invoke(question)
    expect(again.text).toBe("It is salty.")
    expect(isRestart(again)).toBe(false)
    expect(world.bodies()).toHaveLength(2)
  })

  it("is what the run of a chain tells", async () => {
    await using world = isWorld(await openWorld())
    const chain = new FallbackChain({ links: [{ tier: "only", runnable: innerOver(world) }] })
    const outputs: unknown[] = []
    const handler = {
      awaitHandlers: true,
      handleChainEnd: (output: unknown, _: string, parent?: string) => {
        if (parent === undefined) outputs.push(output)
      },
    }
    expect(await read(await chain.stream("Hello", { callbacks: [handler] }))).toBe("It is salty.")
    expect(JSON.stringify(outputs)).not.toContain("sea")
    expect(outputs).toMatchObject([{ output: { content: "It is salty." } }])
  })

  it.each<[name: string, modelOf: (world: World) => BaseChatModel]>([
    ["a router", outerOver],
    ["a chain", (world) => new FallbackChain({ links: [{ tier: "only", runnable: innerOver(world) }] })],
  ])("is another message of %s around it", async (_, modelOf) => {
    await using world = isWorld(await openWorld())
    const texts = new Map<string | undefined, string>()
    for await (const { id, text } of await modelOf(world).stream("Hello"))
      if (text !== "") texts.set(id, (texts.get(id) ?? "") + text)
    expect([...texts.values()]).toEqual(["The sea", "It is salty."])
  })
})
