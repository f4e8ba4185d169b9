import { type Answer, isRestart, RouterChatModel, type RouterChatModelFields } from "tierwise"
import { describe, expect, it } from "vitest"
import { deploymentOf, openWorld, type World } from "./world.ts"

const isWorld = (world: World) => {
  world.simulator.script([
    { model: "sim-small", answer: "The sea is sweet.", cutAfterChunks: 3 },
    { model: "sim-medium", answer: "It is salty." },
  ])
  return world
}

/** A router that begins anew, as the only model of another one. */
function outerOver(world: World, options: Partial<RouterChatModelFields> = {}): RouterChatModel {
  const { simulator } = world
  const inner = new RouterChatModel({
    tiers: ["light", "standard"],
    deployments: [
      deploymentOf(simulator, "light", "sim-small"),
      deploymentOf(simulator, "standard", "sim-medium"),
    ],
    midStream: "restart",
    maxRetries: 0,
  })
  return new RouterChatModel({
    tiers: ["only"],
    thresholds: [],
    deployments: [{ tier: "only", model: inner, price: "free", profile: { maxInputTokens: 8_000 } }],
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
})
