/*
 * What a user of the published packages writes, run by packaging.test.ts in a folder of its own, once beside each end of
 * the supported range of LangChain's core. It asserts, and says what it has tried.
 */

import assert from "node:assert/strict"
import { createRequire } from "node:module"
import { InMemoryCache } from "@langchain/core/caches"
import type { AIMessageChunk } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { ChatOpenAI } from "@langchain/openai"
import { type SimulatedModel, startSimulator } from "@tierwise/simulator"
import { FallbackChain, type ReplyMetadata, RouterChatModel, type RouterChatModelFields } from "tierwise"
import { z } from "zod"

await using simulator = await startSimulator({ timeScale: 0 })
const calls = () => simulator.requests().length
const chat = (model: string) =>
  new ChatOpenAI({ model, apiKey: "none", configuration: { baseURL: simulator.baseUrl } })
const routerOver = (models: (id: string) => ChatOpenAI, more: Partial<RouterChatModelFields> = {}) =>
  new RouterChatModel({
    tiers: ["light", "heavy"],
    deployments: [
      ["light", "sim-small"],
      ["heavy", "sim-large"],
    ].map(([tier = "", id = ""]) => ({
      tier,
      model: models(id),
      price: (simulator.models.find((model) => model.id === id) as SimulatedModel).price,
      profile: { maxInputTokens: 8_000, toolCalling: true, structuredOutput: true },
    })),
    retryBaseMs: 1,
    ...more,
  })
const router = routerOver(chat)
const metadataOf = (message: { readonly response_metadata: Record<string, unknown> }) =>
  message.response_metadata["tierwise"] as ReplyMetadata
const join = async (stream: AsyncIterable<AIMessageChunk>) => {
  let whole: AIMessageChunk | undefined
  for await (const chunk of stream) whole = whole === undefined ? chunk : whole.concat(chunk)
  return whole as AIMessageChunk
}

const QUESTION = "Hello"
const NOTE = "Turn this note into a record.\n\nName: Ada. Put down 36 as the age."
const person = z.object({ name: z.string(), age: z.number().int() })
const weather = tool(async ({ city }) => `It is 21 °C in ${city}.`, {
  name: "get_weather",
  description: "Current weather of a city",
  schema: z.object({ city: z.string().describe("Name of the city") }),
})

const STORIES: Readonly<Record<string, () => Promise<void>>> = {
  invoke: async () => {
    const reply = await router.invoke(QUESTION)
    assert.match(reply.text, /\w/)
    assert.equal(metadataOf(reply).tier, "light")
    assert.ok(metadataOf(reply).costUsd > 0)
  },

  stream: async () => {
    const whole = await join(await router.stream(QUESTION))
    assert.equal(whole.text, (await router.invoke(QUESTION)).text)
    assert.equal(metadataOf(whole).tier, "light")
  },

  batch: async () => {
    const replies = await router.batch(["Hello", "Good morning"])
    assert.deepEqual(
      replies.map((reply) => metadataOf(reply).tier),
      ["light", "light"],
    )
  },

  bindTools: async () => {
    const reply = await router.bindTools([weather]).invoke("What is the weather in Rome?")
    assert.deepEqual(
      reply.tool_calls?.map(({ name, args }) => ({ name, args })),
      [{ name: "get_weather", args: { city: "Rome" } }],
    )
  },

  withStructuredOutput: async () => {
    const answer = await router.withStructuredOutput<z.infer<typeof person>>(person).invoke(NOTE)
    assert.deepEqual(answer, { name: "Ada", age: 36 })
  },

  "streamEvents v2": async () => {
    const seen = new Map<string, number>()
    for await (const { event } of router.streamEvents(QUESTION, { version: "v2" }))
      seen.set(event, (seen.get(event) ?? 0) + 1)
    assert.equal(seen.get("on_chat_model_start"), 1)
    assert.equal(seen.get("on_chat_model_end"), 1)
    assert.ok((seen.get("on_chat_model_stream") ?? 0) > 1)
  },

  "streamEvents by content block": async () => {
    let text = ""
    for await (const piece of router.streamEvents(QUESTION).text) text += piece
    assert.equal(text, (await router.invoke(QUESTION)).text)
  },

  cache: async () => {
    const cached = routerOver(chat, { cache: new InMemoryCache() })
    const first = await cached.invoke(QUESTION)
    const before = calls()
    const second = await cached.invoke(QUESTION)
    assert.equal(second.text, first.text)
    assert.equal(calls(), before)
  },

  explain: async () => {
    const before = calls()
    const plan = await router.explain(QUESTION)
    assert.equal(plan.decision.tier, "light")
    assert.equal(calls(), before)
  },

  "a call that fails is not repeated by the provider's package": async () => {
    const before = calls()
    simulator.script([{ status: 500 }])
    const reply = await routerOver(chat, { maxRetries: 0 }).invoke(QUESTION)
    assert.deepEqual(
      metadataOf(reply).attempts.map(({ tier, outcome }) => `${tier} ${outcome}`),
      ["light failed", "heavy answered"],
    )
    assert.equal(calls() - before, 2)
  },

  FallbackChain: async () => {
    simulator.script([{ model: "sim-small", status: 401 }])
    const chain = new FallbackChain({
      links: [
        { tier: "light", runnable: chat("sim-small") },
        { tier: "heavy", runnable: chat("sim-large") },
      ],
    })
    const { output, answeredBy } = await chain.answer(QUESTION)
    assert.match(output.text, /\w/)
    assert.equal(answeredBy.tier, "heavy")
  },

  "CommonJS, with models and messages of that copy of the core": async () => {
    const require = createRequire(import.meta.url)
    const { ChatOpenAI: RequiredChatOpenAI } = require("@langchain/openai") as {
      ChatOpenAI: typeof ChatOpenAI
    }
    const { HumanMessage } = require("@langchain/core/messages") as typeof import("@langchain/core/messages")
    const required = require("tierwise") as typeof import("tierwise")
    assert.equal(required.RouterChatModel, RouterChatModel)
    assert.notEqual(RequiredChatOpenAI, ChatOpenAI)
    const mixed = routerOver(
      (model) =>
        new RequiredChatOpenAI({ model, apiKey: "none", configuration: { baseURL: simulator.baseUrl } }),
    )
    assert.equal(
      (await mixed.invoke([new HumanMessage(QUESTION)])).text,
      (await router.invoke(QUESTION)).text,
    )
  },
}

for (const [name, story] of Object.entries(STORIES)) {
  await story().catch((error: unknown) => {
    throw new Error(`${name} failed`, { cause: error })
  })
  console.log(`ok ${name}`)
}
