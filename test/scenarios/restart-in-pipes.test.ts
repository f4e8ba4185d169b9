import {
  CommaSeparatedListOutputParser,
  JsonOutputParser,
  StringOutputParser,
} from "@langchain/core/output_parsers"
import { ChatPromptTemplate } from "@langchain/core/prompts"
import { type Runnable, RunnableLambda, RunnableMap } from "@langchain/core/runnables"
import { isRestart, memoryBudget, type RouterChatModel } from "tierwise"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { answers, openOddWorld, streams } from "./scripted-server.ts"

const purse = () => memoryBudget({ limits: [{ scope: "tenant", window: "total", usd: 1 }] })

/** One model breaks off after "1, 2, ", the other says "3, 4". */
const openBroken = () => openOddWorld(streams(["1, ", "2, "], "cut"), streams(["3, ", "4"]))

const prompt = ChatPromptTemplate.fromMessages([["human", "{question}"]])
const input = { question: "Hello" }

/** What is seen before the error: LangChain begins to read before it is asked to. */
async function read(ask: () => AsyncIterable<unknown> | Promise<AsyncIterable<unknown>>) {
  const seen: unknown[] = []
  try {
    for await (const piece of await ask()) seen.push(piece)
  } catch (error) {
    return { seen, error }
  }
  return { seen, error: undefined }
}

/** Parsers that put texts together, and how each refuses what is none. */
const PARSERS: readonly (readonly [name: string, parser: () => Runnable, refusal: string])[] = [
  ["text", () => new StringOutputParser(), 'Cannot coerce "tierwise_restart" message part into a string'],
  ["JSON", () => new JsonOutputParser(), "Cannot handle non-string output"],
  ["lists", () => new CommaSeparatedListOutputParser(), "Cannot convert object to primitive value"],
]

describe("a pipe whose model begins anew", () => {
  it.each(PARSERS)(
    "ends with an error in a parser of %s, before another model is asked [N5.mid-stream-policy]",
    async (_, parser, refusal) => {
      await using world = await openBroken()
      const budget = purse()
      const chain = prompt.pipe(world.router({ budget, midStream: "restart" })).pipe(parser())
      const { seen, error } = await read(() => chain.stream(input))
      expect(error).toMatchObject({ message: expect.stringContaining(refusal) })
      expect(JSON.stringify(seen)).not.toMatch(/[34]/)
      expect(world.bodies).toHaveLength(1)
      expect(await budget.status({})).toMatchObject([{ held: 0, spent: world.records[0]?.cost }])
    },
  )

  it.each<[name: string, ask: (chain: Runnable) => AsyncIterable<unknown>]>([
    ["streamEvents", (chain) => chain.streamEvents(input, { version: "v2" })],
    ["streamLog", (chain) => chain.streamLog(input)],
  ])("ends with the same error in %s of it", async (_, ask) => {
    await using world = await openBroken()
    const chain = prompt.pipe(world.router({ midStream: "restart" })).pipe(new StringOutputParser())
    const { error } = await read(() => ask(chain))
    expect(error).toMatchObject({ message: expect.stringContaining("tierwise_restart") })
    expect(world.bodies).toHaveLength(1)
  })

  it("answers, where the model is its end and its reader forgets", async () => {
    await using world = await openBroken()
    const chain = prompt.pipe(world.router({ midStream: "restart" }))
    let text = ""
    for await (const chunk of await chain.stream(input)) text = isRestart(chunk) ? "" : text + chunk.text
    expect(text).toBe("3, 4")
  })

  it.each<[name: string, chainOf: (router: RouterChatModel) => Runnable]>([
    ["a function", (router) => router.pipe(RunnableLambda.from(({ text }) => text))],
    ["a map", (router) => RunnableMap.from({ said: router }).pipe(({ said }) => said.text)],
  ])("hands %s that waits for all of it one model's words", async (_, chainOf) => {
    await using world = await openBroken()
    const { seen, error } = await read(() => chainOf(world.router({ midStream: "restart" })).stream("Hello"))
    expect([seen, error]).toEqual([["3, 4"], undefined])
  })

  it("tells one model's words as what its run has come to", async () => {
    await using world = await openBroken()
    const ends: unknown[] = []
    const chain = prompt.pipe(world.router({ midStream: "restart" }))
    for await (const { event, name, data } of chain.streamEvents(input, { version: "v2" })) {
      if (event === "on_chain_end" && name !== "ChatPromptTemplate") ends.push(data.output)
    }
    expect(ends).toMatchObject([{ content: "3, 4" }, { content: "3, 4" }])
  })

  it("is broken off where LangChain makes one message of all chunks", async () => {
    await using world = await openBroken()
    const events = world.router({ midStream: "restart" }).streamEvents("Hello")
    const { error } = await read(() => events)
    expect(error).toMatchObject({ code: "stream-broken", deploymentId: "light", partial: "1, 2, " })
    expect(world.bodies).toHaveLength(1)
  })

  it("answers as a whole, and under a schema, with one model's words", async () => {
    const ask = async (chainOf: (router: RouterChatModel) => Runnable) => {
      await using world = await openOddWorld(
        streams(["1, "], "cut"),
        answers('{"answer":"42"}', { id: "c-2" }),
      )
      return await chainOf(world.router({ midStream: "restart" })).invoke("Hello")
    }
    expect(await ask((router) => router.pipe(new StringOutputParser()))).toBe('{"answer":"42"}')
    const schema = z.object({ answer: z.string() })
    const config = { method: "jsonSchema" as const }
    expect(await ask((router) => router.withStructuredOutput(schema, config))).toEqual({ answer: "42" })
  })
})
