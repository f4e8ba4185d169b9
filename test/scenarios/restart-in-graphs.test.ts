import type { BaseMessage } from "@langchain/core/messages"
import { MessagesAnnotation, START, StateGraph } from "@langchain/langgraph"
import { createAgent } from "langchain"
import type { RouterChatModel, RouterChatModelFields } from "tierwise"
import { describe, expect, it } from "vitest"
import { openWorld } from "./world.ts"

/** What a reader of these three modes has, by message. */
const MODES = { streamMode: ["messages" as const, "custom" as const, "values" as const] }

type Part = readonly [mode: string, data: unknown]

const question = { messages: [{ role: "user" as const, content: "Hello" }] }

const GRAPHS: readonly (readonly [string, (model: RouterChatModel) => Promise<AsyncIterable<unknown>>])[] = [
  ["an agent", (model) => createAgent({ model, tools: [] }).stream(question, MODES)],
  ["a graph that invokes", (model) => graphOf((messages) => model.invoke(messages)).stream(question, MODES)],
  [
    "a graph that streams",
    (model) =>
      graphOf(async (messages) => {
        let last: BaseMessage[] = []
        for await (const chunk of await model.stream(messages)) last = [chunk]
        return last
      }).stream(question, MODES),
  ],
]

function graphOf(reply: (messages: BaseMessage[]) => Promise<BaseMessage | BaseMessage[]>) {
  return new StateGraph(MessagesAnnotation)
    .addNode("reply", async ({ messages }) => ({ messages: await reply(messages) }))
    .addEdge(START, "reply")
    .compile()
}

async function read(parts: AsyncIterable<unknown>) {
  const [texts, order] = [new Map<string | undefined, string>(), [] as string[]]
  const deployments = new Set<unknown>()
  const custom: unknown[] = []
  let values: readonly BaseMessage[] = []
  for await (const part of parts) {
    const [mode, data] = part as Part
    order.push(mode)
    if (mode === "custom") custom.push(data)
    if (mode === "values") values = (data as { readonly messages: readonly BaseMessage[] }).messages
    if (mode !== "messages") continue
    const [{ id, text, type }, metadata] = data as [BaseMessage, Readonly<Record<string, unknown>>]
    if (type === "ai") deployments.add(metadata["tierwise_deployment"])
    if (type === "ai" && text !== "") texts.set(id, (texts.get(id) ?? "") + text)
  }
  return { texts: [...texts.values()], deployments: [...deployments], custom, values, order }
}

async function openBroken(options: Partial<RouterChatModelFields>) {
  const world = await openWorld({ maxRetries: 0, ...options })
  world.simulator.script([
    { model: "sim-small", answer: "The sea is sweet.", cutAfterChunks: 3 },
    { model: "sim-medium", answer: "It is salty." },
  ])
  return world
}

describe("a graph whose model begins anew", () => {
  it.each(GRAPHS)(
    "tells the readers of %s, who have two messages, in between them [N5.mid-stream-policy]",
    async (_, ask) => {
      await using world = await openBroken({ midStream: "restart" })
      const { texts, deployments, custom, order } = await read(await ask(world.router))
      expect(texts).toEqual(["The sea", "It is salty."])
      expect(deployments.slice(0, 2)).toEqual(["sim-small", "sim-medium"])
      expect(custom).toEqual([
        { type: "tierwise.stream-restarted", deploymentId: "sim-small", failure: "truncated" },
      ])
      expect(order.indexOf("custom")).toBeGreaterThan(order.indexOf("messages"))
      expect(order.indexOf("custom")).toBeLessThan(order.lastIndexOf("messages"))
    },
  )

  it.each(GRAPHS.slice(0, 2))("keeps the whole answer of %s alone", async (_, ask) => {
    await using world = await openBroken({ midStream: "restart" })
    const { values } = await read(await ask(world.router))
    expect(values.map(({ text }) => text)).toEqual(["Hello", "It is salty."])
  })

  it("tells them that another model goes on", async () => {
    await using world = await openBroken({ midStream: "continue" })
    const { custom } = await read(await (GRAPHS[2] as (typeof GRAPHS)[number])[1](world.router))
    expect(custom).toEqual([
      { type: "tierwise.stream-continued", deploymentId: "sim-small", failure: "truncated" },
    ])
  })

  it("is not ended by a writer that fails", async () => {
    await using world = await openBroken({ midStream: "restart" })
    const writer = () => {
      throw new Error("nobody reads any more")
    }
    const graph = graphOf((messages) => world.router.invoke(messages))
    const { values } = await read(await graph.stream(question, { ...MODES, writer } as typeof MODES))
    expect(values.at(-1)?.text).toBe("It is salty.")
  })
})

describe("an answer that a content filter cut off in an agent that is read along", () => {
  it.each(["error", "restart"] as const)(
    "is an answer that says so, as everywhere else (%s)",
    async (midStream) => {
      await using world = await openWorld({ midStream, maxRetries: 0 })
      const breaks = { how: "content-filter", at: { chunks: 3 } } as const
      world.simulator.script([{ model: "sim-small", answer: "The sea is sweet.", breaks }])
      const { texts, custom, values } = await read(
        await createAgent({ model: world.router, tools: [] }).stream(question, MODES),
      )
      expect([texts, custom]).toEqual([["The sea"], []])
      expect(values.at(-1)?.response_metadata["finish_reason"]).toBe("content_filter")
    },
  )
})
